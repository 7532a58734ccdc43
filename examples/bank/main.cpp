// bank --role ROLE: one service of the example bank. See README.md.
#include <CLI/CLI.hpp>

#include "service.h"

int main(int argc, char** argv) {
  bank::Options options;
  CLI::App app("One service of the example bank", "bank");
  app.add_option("--role", options.role, "edge, current-account, prepaid, payments, ledger, cards, feed or customer-ops")->required();
  app.add_option("--listen", options.listen, "Address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "Port to listen on")->envname("PORT")->capture_default_str();
  app.add_option("--data-dir", options.data_dir, "Where the ledger keeps its file")->capture_default_str();
  app.add_option("--release", options.version, "Shown by /healthz")->envname("RELEASE")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return bank::serve(options);
}

// Any bytes as a stream of gRPC messages cut anywhere, as a status message and as a timeout.
#include "base/assert.h"
#include "net/grpc_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::net::grpc;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  constexpr size_t kLimit = 1000;
  // In one piece and byte by byte: the same messages, and the same end.
  auto read = [&](size_t step) {
    MessageReader reader(kLimit);
    std::vector<std::string> messages;
    Status error;
    for (size_t at = 0; at < input.size() && error.code == StatusCode::kOk; at += step) {
      reader.feed(input.substr(at, step));
      while (auto message = reader.next(error)) {
        ASSERT(message->size() <= kLimit);
        messages.push_back(std::move(*message));
      }
    }
    return std::pair(std::move(messages), error.message);
  };
  ASSERT(read(input.size() + 1) == read(1));
  ASSERT(decode_message(encode_message(input)) == input, "what is encoded is decoded to the same");
  (void)decode_message(input);
  if (auto timeout = parse_timeout(input)) ASSERT(timeout->count() >= 0);
  return 0;
}

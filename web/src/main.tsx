import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { follow, type Event, type Link, type Pod, type Service, type State, type View } from "./state";

const historyLength = 60;

// Requests a second of each service over the last minute, for the sparklines.
type History = Map<string, number[]>;

function remember(history: History, state: State): History {
  const next: History = new Map();
  for (const service of state.services) {
    const key = service.namespace + "/" + service.name;
    const past = history.get(key) ?? [];
    next.set(key, [...past, service.requests_per_second].slice(-historyLength));
  }
  return next;
}

function Sparkline({ values }: { values: number[] }) {
  const max = Math.max(1, ...values);
  const step = 100 / (historyLength - 1);
  const points = values.map((value, i) => `${(100 - (values.length - 1 - i) * step).toFixed(1)},${(19 - (value / max) * 17).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label={`requests a second, last minute, at most ${max.toFixed(0)}`}>
      <polyline points={points.join(" ")} />
    </svg>
  );
}

type Tone = "good" | "warn" | "bad" | "quiet";
function Badge({ tone, children }: { tone: Tone; children: string }) {
  return <span class={"badge " + tone}>{children}</span>;
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

// design rule 1: up to 3 s fresh, up to 15 s late, then stale
function ageTone(ageMs: number, synced: boolean): Tone {
  if (!synced) return "bad";
  return ageMs < 3000 ? "good" : ageMs < 15_000 ? "warn" : "bad";
}

function Views({ views }: { views: View[] }) {
  const worst = views.reduce((a, b) => Math.max(a, b.synced ? b.age_ms : Infinity), 0);
  return (
    <section>
      <h2>Views <small>oldest proof that a copy of state is current: {Number.isFinite(worst) ? duration(worst) : "never"}</small></h2>
      <ul class="views">
        {views.map((view) => (
          <li key={view.name} title={`revision ${view.revision}`}>
            <Badge tone={ageTone(view.age_ms, view.synced)}>{view.synced ? duration(view.age_ms) : "not synced"}</Badge> {view.name}
            <small> at {view.revision}</small>
          </li>
        ))}
      </ul>
    </section>
  );
}

function endpointsBadge(service: Service) {
  const total = service.ready + service.draining + service.ejected;
  if (service.state === "Unknown") return <Badge tone="bad">unknown</Badge>;
  if (service.state === "Empty" || total === 0) return <Badge tone="warn">no endpoints</Badge>;
  const extra = [service.draining && `${service.draining} draining`, service.ejected && `${service.ejected} ejected`].filter(Boolean).join(", ");
  return <Badge tone={service.ready === 0 ? "bad" : service.ejected ? "warn" : "good"}>{`${service.ready}/${total} ready${extra ? ", " + extra : ""}`}</Badge>;
}

function successText(service: Service) {
  if (service.success_rate === null) return <span class="faint">–</span>;
  const rate = service.success_rate * 100;
  const tone: Tone = rate >= 99.9 ? "good" : rate >= 99 ? "warn" : "bad";
  return <Badge tone={tone}>{`${rate >= 100 ? "100" : rate.toFixed(2)} %`}</Badge>;
}

function Services({ services, history }: { services: Service[]; history: History }) {
  return (
    <section>
      <h2>Services <small>{services.length}</small></h2>
      <div class="scroll">
        <table>
          <thead>
            <tr><th>Service</th><th>Endpoints</th><th class="num">Requests/s</th><th class="wide">Last minute</th><th class="num">Success</th><th class="num wide">p50</th><th class="num">p99</th><th class="num wide">View age</th></tr>
          </thead>
          <tbody>
            {services.map((service) => (
              <tr key={service.namespace + "/" + service.name}>
                <td><b>{service.name}</b> <span class="faint">{service.namespace}</span></td>
                <td>{endpointsBadge(service)}</td>
                <td class="num">{service.requests_per_second.toFixed(service.requests_per_second < 10 ? 1 : 0)}</td>
                <td class="wide"><Sparkline values={history.get(service.namespace + "/" + service.name) ?? []} /></td>
                <td class="num">{successText(service)}</td>
                <td class="num wide">{service.success_rate === null ? "–" : `${service.p50_ms.toFixed(1)} ms`}</td>
                <td class="num">{service.success_rate === null ? "–" : `${service.p99_ms.toFixed(1)} ms`}</td>
                <td class="num wide"><Badge tone={ageTone(service.age_ms, service.state !== "Unknown")}>{duration(service.age_ms)}</Badge></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {services.length === 0 && <p class="note">No services yet: <code>kubectl apply -f examples/bank/bank.yaml</code></p>}
    </section>
  );
}

function podTone(pod: Pod): Tone {
  if (pod.status === "Running") {
    const [ready, total] = pod.ready.split("/");
    return ready === total ? "good" : "warn";
  }
  if (pod.status === "Completed" || pod.status === "Succeeded") return "quiet";
  return ["Pending", "ContainerCreating", "PodInitializing", "Terminating"].includes(pod.status) || pod.status.startsWith("Init:") ? "warn" : "bad";
}

function Pods({ pods }: { pods: Pod[] }) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => pods.filter((pod) => (pod.namespace + "/" + pod.name + " " + pod.status).toLowerCase().includes(filter.toLowerCase())), [pods, filter]);
  const limit = 200;
  return (
    <section>
      <h2>Pods <small>{pods.length}</small> <input type="search" placeholder="Filter" aria-label="Filter pods" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} /></h2>
      <div class="scroll">
        <table>
          <thead><tr><th>Pod</th><th>Ready</th><th>Status</th><th class="num">Restarts</th><th class="wide">Address</th><th class="wide">Node</th><th class="num">Age</th></tr></thead>
          <tbody>
            {shown.slice(0, limit).map((pod) => (
              <tr key={pod.namespace + "/" + pod.name}>
                <td>{pod.name} <span class="faint">{pod.namespace}</span></td>
                <td>{pod.ready}</td>
                <td><Badge tone={podTone(pod)}>{pod.status}</Badge></td>
                <td class="num">{pod.restarts}</td>
                <td class="wide">{pod.ip}</td>
                <td class="wide">{pod.node}</td>
                <td class="num">{pod.age}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length > limit && <p class="note">{shown.length - limit} more: use the filter</p>}
    </section>
  );
}

function Events({ events }: { events: Event[] }) {
  return (
    <section>
      <h2>Recent events <small>newest first</small></h2>
      <ol class="events">
        {events.map((event, index) => (
          <li key={index}>
            <span class="faint">{event.age}</span> <Badge tone={event.type === "Warning" ? "warn" : "quiet"}>{event.reason}</Badge> <b>{event.object}</b> {event.message}
            {event.count > 1 && <span class="faint"> ×{event.count}</span>}
          </li>
        ))}
      </ol>
      {events.length === 0 && <p class="note">Nothing happened lately.</p>}
    </section>
  );
}

const linkText: Record<Link, [Tone, string]> = { connecting: ["quiet", "connecting"], live: ["good", "live"], lost: ["bad", "no connection: what you see is old"] };

function App() {
  const [state, setState] = useState<State>();
  const [history, setHistory] = useState<History>(new Map());
  const [link, setLink] = useState<Link>("connecting");
  useEffect(() => follow((next) => {
    setState(next);
    setHistory((past) => remember(past, next));
  }, setLink), []);
  const [tone, text] = linkText[link];
  return (
    <>
      <header>
        <h1>Roadstead</h1>
        <Badge tone={tone}>{text}</Badge>
        {state && <span class="faint">{state.node} · {state.version} · up {state.uptime}</span>}
      </header>
      {state ? (
        <main class={link === "lost" ? "old" : ""}>
          <Services services={state.services} history={history} />
          <div class="columns">
            <Pods pods={state.pods} />
            <div>
              <Views views={state.views} />
              <Events events={state.events} />
            </div>
          </div>
        </main>
      ) : <p class="note">Waiting for the server…</p>}
    </>
  );
}

render(<App />, document.getElementById("app")!);

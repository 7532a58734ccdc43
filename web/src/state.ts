// The state that the server sends once a second (src/console/state.h).

export interface View {
  name: string;
  revision: number;
  age_ms: number;
  synced: boolean;
}
export interface Service {
  namespace: string;
  name: string;
  cluster_ip: string;
  state: "Unknown" | "Absent" | "Empty" | "Set";
  ready: number;
  draining: number;
  ejected: number;
  requests_per_second: number;
  success_rate: number | null; // null: no requests
  p50_ms: number;
  p99_ms: number;
  revision: number;
  age_ms: number;
}
export interface Pod {
  namespace: string;
  name: string;
  ready: string;
  status: string;
  restarts: string;
  ip: string;
  node: string;
  age: string;
}
export interface Event {
  age: string;
  type: string;
  reason: string;
  object: string;
  message: string;
  count: number;
}
export interface State {
  version: string;
  node: string;
  now: string;
  uptime: string;
  views: View[];
  services: Service[];
  pods: Pod[];
  events: Event[];
}

export type Link = "connecting" | "live" | "lost";

// Follows the server's stream; a stream without a message for `silenceLimitMs` is broken: it is opened anew.
export function follow(onState: (state: State) => void, onLink: (link: Link) => void): void {
  const silenceLimitMs = 5000;
  let source: EventSource | undefined;
  let silence: number | undefined;
  const open = (): void => {
    source?.close();
    source = new EventSource("api/stream");
    source.onmessage = (message) => {
      onLink("live");
      watch();
      onState(JSON.parse(message.data as string) as State);
    };
    source.onerror = () => onLink("lost");
    watch();
  };
  const watch = (): void => {
    window.clearTimeout(silence);
    silence = window.setTimeout(() => {
      onLink("lost");
      open();
    }, silenceLimitMs);
  };
  onLink("connecting");
  open();
}

/** What the HTTP edge tells whoever counts, and what `/metrics` answers. Implemented outside, by prom-client. */
export interface RequestMetrics {
  /** @param route the pattern, such as `/v1/queues/:queue`, so that names make no series of their own */
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  render(): Promise<string>;
  readonly contentType: string;
}

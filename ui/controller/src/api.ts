// Requests to the controller, one after the other: it has four connections for everybody, and we use one.

export interface Problem {
  code: string;
  message: string;
  status: number;
  wait_ms?: number;
  field?: string;
  line?: number;
  column?: number;
  length?: number;
  expected?: string;
  fix?: string;
  other_line?: number;
}

/** What went wrong. `code` is the controller's, or `unreachable`: it did not answer. */
export class Fault extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}

const unreachable = (): Fault =>
  new Fault({ code: 'unreachable', message: 'the controller does not answer', status: 0 });

/** The longest that the controller works on an answer by itself is 30 s. */
const TIMEOUT_MS = 35_000;
const POLL_TIMEOUT_MS = 8_000;
/** A script or an image goes in pieces of this size, as large as the controller takes. */
export const PIECE_BYTES = 1024;
const BUSY_TRIES = 8;
const BUSY_WAIT_MS = 250;

export interface Ask {
  /** Goes as JSON; as it is, if it is bytes. */
  body?: unknown;
  method?: 'GET' | 'POST' | 'PUT';
  /** Whether the answer is text. */
  text?: boolean;
}

type Fetch = (path: string, init: RequestInit) => Promise<Response>;

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

export class Api {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly fetch: Fetch = (path, init) => globalThis.fetch(path, init),
    private readonly wait = pause,
  ) {}

  /** Asks once all that was asked before is answered. */
  ask<T>(path: string, ask: Ask = {}): Promise<T> {
    const mine = this.#last.then(() => this.#patiently<T>(path, ask));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /** Somebody else's request may be in the way for a moment: whatever is answered `busy` was not done. */
  async #patiently<T>(path: string, ask: Ask): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once<T>(path, ask);
      } catch (error) {
        if (!(error instanceof Fault) || error.problem.code !== 'busy' || tries === BUSY_TRIES) throw error;
        await this.wait(BUSY_WAIT_MS * tries);
      }
    }
  }

  async #once<T>(path: string, ask: Ask): Promise<T> {
    const method = ask.method ?? (ask.body === undefined ? 'GET' : 'POST');
    const timeout = method === 'GET' ? POLL_TIMEOUT_MS : TIMEOUT_MS;
    const init: RequestInit = { method, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(timeout) };
    if (method !== 'GET') {
      init.headers = { 'X-Switchyard': '1' };
      init.body = ask.body instanceof Uint8Array ? (ask.body as Uint8Array<ArrayBuffer>) : JSON.stringify(ask.body ?? {});
    }
    let answer: Response;
    let text: string;
    try {
      answer = await this.fetch(`/api/${path}`, init);
      text = await answer.text();
    } catch {
      throw unreachable();
    }
    if (answer.ok && ask.text === true) return text as T;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw unreachable(); // cut short, or not our controller
    }
    if (answer.ok) return value as T;
    throw new Fault({ ...(value as Problem), status: answer.status });
  }

  /** Uploads bytes to `path`, and ends the upload. An unanswered piece goes again: that does no harm. */
  async upload<T>(path: 'script' | 'update', bytes: Uint8Array, progress: (sent: number) => void = () => undefined): Promise<T> {
    await this.ask(`${path}/begin`, { body: { bytes: bytes.length } });
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const body = bytes.slice(at, at + PIECE_BYTES);
      await this.#again(() => this.ask(`${path}?at=${at}`, { method: 'PUT', body }));
      progress(at + body.length);
    }
    return this.ask<T>(`${path}/end`, { body: {} });
  }

  async #again<T>(what: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await what();
      } catch (error) {
        if (!(error instanceof Fault) || error.problem.code !== 'unreachable' || tries === 3) throw error;
        await this.wait(1000 * tries);
      }
    }
  }
}

/** What to tell a person of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'a fault of this page';
}

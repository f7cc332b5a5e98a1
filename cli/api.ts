// Tidemark's REST API as calls. One request is one outcome; whether to repeat it is decided by who
// asked (`ask` here, for questions; `ingest/delivery.ts`, for records).
//   H1. Every request of the command line may be repeated: those that start or append something
//       carry an id by which the deployment knows them again.
//   H2. The token goes into one header and nowhere else: not into a message, not to another host.
//       Redirects are therefore not followed.

import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

import { Patience } from "./patience.ts";
import { exitCodes, Problem, reasonOf, usageProblem } from "./problem.ts";
import { dataOf } from "./server-events.ts";
import type {
  ImportedSavepoint,
  OperatorStates,
  SavepointDescription,
  SavepointList,
  SavepointVerification,
  StateElements,
  StateOfKey,
} from "./state-answers.ts";
import { type PageQuery, wholeTable } from "./whole-table.ts";

// ---- Answers, as far as they are read here

export interface JarList {
  readonly files: readonly { readonly id: string }[];
}

export interface JobOverview {
  readonly jid: string;
  readonly name: string;
  readonly state: string;
  readonly "start-time": number;
  readonly "end-time": number;
  readonly duration: number;
  readonly tasks: Readonly<Record<string, number>> & { readonly total: number };
}

export interface JobsOverview {
  readonly jobs: readonly JobOverview[];
}

export interface Vertex {
  readonly id: string;
  readonly name: string;
  readonly parallelism: number;
  readonly status: string;
  readonly tasks: Readonly<Record<string, number>>;
  readonly metrics: {
    readonly "read-records": number;
    readonly "read-records-complete": boolean;
    readonly "write-records": number;
    readonly "write-records-complete": boolean;
  };
}

export interface JobDetails {
  readonly jid: string;
  readonly name: string;
  readonly state: string;
  readonly "start-time": number;
  readonly duration: number;
  /** Of the deployment; Flink's clients skip the field. */
  readonly now: number;
  readonly attempt: number;
  readonly vertices: readonly Vertex[];
}

export interface Checkpoint {
  readonly id: number;
  readonly status: "IN_PROGRESS" | "COMPLETED" | "FAILED";
  readonly trigger_timestamp: number;
  readonly latest_ack_timestamp: number;
  readonly checkpointed_size: number;
  readonly state_size: number;
  readonly end_to_end_duration: number;
  readonly num_subtasks: number;
  readonly num_acknowledged_subtasks: number;
  readonly external_path?: string;
  readonly failure_message?: string;
}

export interface Checkpoints {
  readonly counts: {
    readonly restored: number;
    readonly total: number;
    readonly in_progress: number;
    readonly completed: number;
    readonly failed: number;
  };
  readonly latest: { readonly completed: Checkpoint | null };
  /** Newest first. */
  readonly history: readonly Checkpoint[];
}

interface FailureCause {
  readonly "stack-trace": string;
}

/** What became of something that was asked for; null while it is under way. */
export interface OperationStatus<T = object> {
  readonly operation:
    (T & { readonly "failure-cause"?: FailureCause; readonly failureCause?: FailureCause }) | null;
}

/** Of every vertex, by its id. */
export type ResourceRequirements = Readonly<
  Record<string, { readonly parallelism: Readonly<Record<"lowerBound" | "upperBound", number>> }>
>;

export interface Rescale {
  /** Absent while it is under way. */
  readonly terminalState?: "COMPLETED" | "FAILED";
  /** Why it failed. */
  readonly message?: string;
  readonly vertices: Readonly<Record<string, { readonly desiredParallelism: number }>>;
}

export interface JobException {
  readonly timestamp: number;
  readonly exceptionName: string;
  readonly stacktrace: string;
  readonly taskName: string | null;
}

export interface Exceptions {
  /** Newest first. */
  readonly exceptionHistory: { readonly entries: readonly JobException[] };
}

export interface Topic {
  readonly topic: string;
  readonly keyed: boolean;
  readonly partitions: readonly {
    readonly partition: number;
    readonly first: number;
    readonly next: number;
    readonly bytes: number;
  }[];
}

export interface TableRows {
  readonly table: string;
  readonly read: "committed" | "latest";
  /** The checkpoint whose rows these are; null before the first, and of the latest rows. */
  readonly checkpoint: number | null;
  readonly rows: readonly unknown[];
}

export interface Appended {
  /** All of it had been kept by an earlier request under the same key. */
  readonly duplicate: boolean;
}

// ---- Requests

export type Outcome<T> =
  | { readonly kind: "answer"; readonly body: T }
  /** 4xx: the same request would be refused again. */
  | { readonly kind: "refused"; readonly status: number; readonly reason: string }
  /** Nobody there, no answer in time, 429 or 5xx. `after`: milliseconds to wait, where told. */
  | {
      readonly kind: "unavailable";
      readonly reason: string;
      /** Of the answer, where there was one. */
      readonly status?: number;
      readonly after?: number;
    };

export interface ApiOptions {
  readonly url: URL;
  readonly token: string | undefined;
  /** Milliseconds that one request may take. */
  readonly timeout: number;
  /** Ends what is under way, with the signal's reason. */
  readonly signal: AbortSignal;
}

interface Request {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH";
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Milliseconds that it may take, where that is not what `--timeout` says. */
  readonly within?: number;
}

/** Where in state to look, and as of when. */
export interface StateRequest {
  /** Of operator, state and key those that are asked for. */
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** What a request to run and one to fork have in common. */
export interface StartRequest {
  readonly jobId: string;
  readonly parallelism?: number;
  readonly flinkConfiguration: Readonly<Record<string, string>>;
  readonly programArgsList?: readonly string[];
  readonly allowNonRestoredState?: true;
}

export interface RunRequest extends StartRequest {
  readonly savepointPath?: string;
  readonly claimMode: string;
}

export interface ForkRequest extends StartRequest {
  readonly programId?: string;
}

export interface TableOptions {
  readonly key?: string;
  readonly read: TableRows["read"];
}

export interface AppendBody {
  /** The same for every try; see the route's Idempotency-Key. */
  readonly key: string;
  readonly ndjson: Uint8Array<ArrayBuffer>;
}

/** Tries of a question, and the longest wait between two. A script is not kept waiting for long. */
const triesMax = 4;
const waitMax = 5_000;

/** As of a redirect that is not followed (H2). */
const isRedirect = (status: number): boolean => status >= 300 && status < 400;

export class Api {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** As messages name the deployment. */
  get place(): string {
    return this.#options.url.href.replace(/\/$/, "");
  }

  /** Resolves where somebody answers, whatever the token may. */
  async reach(): Promise<void> {
    await this.#ask(["healthz"]);
  }

  programs(): Promise<JarList> {
    return this.#ask(["jars"]);
  }

  async run(program: string, request: RunRequest): Promise<void> {
    await this.#ask(["jars", program, "run"], { method: "POST", body: JSON.stringify(request) });
  }

  async fork(job: string, request: ForkRequest): Promise<void> {
    await this.#ask(["jobs", job, "fork"], { method: "POST", body: JSON.stringify(request) });
  }

  jobs(): Promise<JobsOverview> {
    return this.#ask(["jobs", "overview"]);
  }

  job(id: string): Promise<JobDetails> {
    return this.#ask(["jobs", id]);
  }

  checkpoints(id: string): Promise<Checkpoints> {
    return this.#ask(["jobs", id, "checkpoints"]);
  }

  exceptions(id: string): Promise<Exceptions> {
    return this.#ask(["jobs", id, "exceptions"]);
  }

  async topics(): Promise<{ readonly topics: readonly Topic[] }> {
    return await this.#ask(["topics"]);
  }

  topic(name: string): Promise<Topic> {
    return this.#ask(["topics", name]);
  }

  async table(job: string, table: string, { key, read }: TableOptions): Promise<TableRows> {
    const path = ["jobs", job, "tables", table, ...(key === undefined ? [] : [key])];
    if (key !== undefined) return await this.#ask(path, { query: { read } });
    const ask = (page: PageQuery): Promise<TableRows & { readonly next: string | null }> =>
      this.#ask(path, { query: { read, ...page } });
    const { next: _, ...rows } = (await wholeTable(ask))!;
    return rows;
  }

  /** `ended`: the job had ended before, whatever ended it. */
  async cancel(id: string): Promise<"cancelling" | "ended"> {
    const outcome = await this.#repeated(["jobs", id], { method: "PATCH" });
    if (outcome.kind === "refused" && outcome.status === 409) return "ended";
    this.#bodyOf(outcome);
    return "cancelling";
  }

  /** Under a trigger id that makes further tries the same savepoint (H1). */
  async takeSavepoint(
    id: string,
    request: {
      readonly kind: "savepoint" | "stop";
      readonly triggerId: string;
      readonly directory?: string;
      readonly drain?: boolean;
    },
  ): Promise<void> {
    const { kind, triggerId, directory, drain } = request;
    const [route, field] =
      kind === "stop" ? ["stop", "targetDirectory"] : ["savepoints", "target-directory"];
    const body = {
      triggerId,
      ...(directory !== undefined && { [field]: directory }),
      ...(drain === true && { drain }),
    };
    await this.#ask(["jobs", id, route], { method: "POST", body: JSON.stringify(body) });
  }

  /** The same size is the same request, so further tries are safe (H1). */
  async rescale(id: string, requirements: ResourceRequirements): Promise<void> {
    const body = JSON.stringify(requirements);
    await this.#ask(["jobs", id, "resource-requirements"], { method: "PUT", body });
  }

  /** Newest first. */
  rescales(id: string): Promise<readonly Rescale[]> {
    return this.#ask(["jobs", id, "rescales", "history"]);
  }

  /** Under a trigger id that makes further tries the same checkpoint (H1). */
  async takeCheckpoint(
    id: string,
    body: { readonly triggerId: string; readonly checkpointType?: "FULL" },
  ): Promise<void> {
    await this.#ask(["jobs", id, "checkpoints"], { method: "POST", body: JSON.stringify(body) });
  }

  state<T extends OperatorStates | StateElements | StateOfKey>(
    job: string,
    { path, query }: StateRequest,
  ): Promise<T> {
    return this.#ask(["jobs", job, "state", ...path], { query });
  }

  savepoints(query: { readonly limit: string; readonly after?: string }): Promise<SavepointList> {
    return this.#ask(["savepoints"], { query });
  }

  savepoint(id: string): Promise<SavepointDescription> {
    return this.#ask(["savepoints", id]);
  }

  /** Reads all of it, within so many milliseconds. */
  verification(id: string, within: number): Promise<SavepointVerification> {
    return this.#ask(["savepoints", id, "verification"], { within });
  }

  /**
   * The lines of an export as they come, which nothing says are all of them. Between two pieces
   * `--timeout` may pass.
   */
  async *exported(id: string): AsyncGenerator<Uint8Array> {
    const { timeout, signal } = this.#options;
    const patience = new Patience(timeout);
    const path = ["savepoints", id, "entries"];
    let response: Response;
    try {
      response = await fetch(this.#urlOf(path, {}), {
        headers: this.#headers("application/x-ndjson"),
        redirect: "manual",
        signal: AbortSignal.any([signal, patience.signal]),
      });
      const type = response.headers.get("Content-Type") ?? "";
      if (!response.ok || !type.startsWith("application/x-ndjson")) {
        // A page of something else is no export, whatever its status.
        this.#bodyOf(this.#outcomeOf(response, response.ok ? "" : await response.text()));
      }
    } catch (error) {
      patience.end();
      if (error instanceof Problem) throw error;
      throw this.unavailable(this.#failed(error, timeout));
    }
    try {
      for await (const bytes of response.body!) {
        patience.renew();
        yield bytes;
        patience.renew();
      }
    } catch (error) {
      const { reason } = this.#failed(error, timeout);
      throw new Problem(`The export of ${id} broke off (${reason}); repeat the command.`);
    } finally {
      patience.end();
    }
  }

  /**
   * Makes a savepoint of lines. Not repeated here: the lines can be read once. While they are sent
   * `--timeout` may pass between two pieces, and `within` after the last.
   */
  async import(
    as: string,
    lines: AsyncIterable<Uint8Array>,
    within: number,
  ): Promise<ImportedSavepoint> {
    const { timeout } = this.#options;
    const patience = new Patience(timeout);
    async function* patiently(): AsyncGenerator<Uint8Array> {
      for await (const bytes of lines) {
        patience.renew();
        yield bytes;
        patience.renew();
      }
      patience.renew(within);
    }
    const { signal } = this.#options;
    const init = {
      method: "POST",
      headers: { ...this.#headers("application/json"), "Content-Type": "application/x-ndjson" },
      body: Readable.toWeb(Readable.from(patiently())) as ReadableStream<Uint8Array<ArrayBuffer>>,
      // Node asks for it where a body is a stream: the answer comes once all of it is sent.
      duplex: "half",
      redirect: "manual" as const,
      signal: AbortSignal.any([signal, patience.signal]),
    };
    try {
      const response = await fetch(this.#urlOf(["savepoints"], { as }), init);
      return this.#bodyOf(this.#outcomeOf(response, await response.text()));
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw this.unavailable(this.#failed(error, timeout));
    } finally {
      patience.end();
    }
  }

  /** Under a trigger id that makes further tries the same disposal (H1). */
  async dispose(location: string, triggerId: string): Promise<void> {
    const body = JSON.stringify({ "savepoint-path": location, triggerId });
    await this.#ask(["savepoint-disposal"], { method: "POST", body });
  }

  operation<T>(path: readonly string[]): Promise<OperationStatus<T>> {
    return this.#ask(path);
  }

  /** One try, under a key that makes further tries safe (H1). */
  append(topic: string, { key, ndjson }: AppendBody): Promise<Outcome<Appended>> {
    return this.request(["topics", topic, "records"], {
      method: "POST",
      headers: { "Content-Type": "application/x-ndjson", "Idempotency-Key": key },
      body: ndjson,
    });
  }

  async #ask<T>(path: readonly string[], request?: Request): Promise<T> {
    return this.#bodyOf(await this.#repeated<T>(path, request));
  }

  /** Tries again what cannot be answered just now. Where nobody is there, once is enough. */
  async #repeated<T>(path: readonly string[], request?: Request): Promise<Outcome<T>> {
    for (let tries = 1; ; tries++) {
      const outcome = await this.request<T>(path, request);
      if (outcome.kind !== "unavailable" || outcome.after === undefined) return outcome;
      if (tries === triesMax) return outcome;
      await this.pause(Math.min(outcome.after, waitMax));
    }
  }

  #bodyOf<T>(outcome: Outcome<T>): T {
    switch (outcome.kind) {
      case "answer":
        return outcome.body;
      case "refused":
        throw new Problem(outcome.reason);
      case "unavailable":
        throw this.unavailable(outcome);
    }
  }

  /** What a stream of server-sent events says, until it ends or `within` milliseconds have passed. */
  async *events(path: readonly string[], within: number): AsyncGenerator<string> {
    const { signal } = this.#options;
    const response = await fetch(this.#urlOf(path, {}), {
      headers: this.#headers("text/event-stream"),
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(within)]),
    });
    if (response.body === null) return;
    if (!response.ok) return response.body.cancel();
    yield* dataOf(response.body.pipeThrough(new TextDecoderStream()));
  }

  /** @throws the reason of the signal, once there is one */
  throwIfInterrupted(): void {
    this.#options.signal.throwIfAborted();
  }

  unavailable({ reason, status }: Extract<Outcome<unknown>, { kind: "unavailable" }>): Problem {
    const message =
      status !== undefined
        ? `${this.place} cannot answer now: ${reason}`
        : `Nobody answers at ${this.place} (${reason}). Start one with "tidemark dev", or say where it is ` +
          `with --url or TIDEMARK_URL.`;
    return new Problem(message, exitCodes.unavailable);
  }

  /** Resolves after some milliseconds, or rejects with the reason of the signal. */
  async pause(milliseconds: number): Promise<void> {
    const { signal } = this.#options;
    await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  /** One request, once. The answer's body is trusted to have its form. */
  async request<T>(path: readonly string[], request: Request = {}): Promise<Outcome<T>> {
    const { timeout, signal } = this.#options;
    const { method = "GET", query = {}, headers = {}, body, within = timeout } = request;
    const url = this.#urlOf(path, query);
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: { ...this.#headers("application/json"), ...headers },
        ...(body !== undefined && { body }),
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(within)]),
      });
      text = await response.text();
    } catch (error) {
      return this.#failed(error, within);
    }
    return this.#outcomeOf<T>(response, text);
  }

  /** What it means that there is no answer. @throws the reason of the signal, once there is one */
  #failed(error: unknown, within: number): Extract<Outcome<never>, { kind: "unavailable" }> {
    this.throwIfInterrupted();
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    const reason = isLate ? `no answer within ${within} ms, see --timeout` : reasonOf(error);
    return { kind: "unavailable", reason, ...(isLate && { status: 408 }) };
  }

  #headers(accept: string): Readonly<Record<string, string>> {
    const { token } = this.#options;
    return {
      Accept: accept,
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    };
  }

  #urlOf(path: readonly string[], query: Readonly<Record<string, string>>): URL {
    // A URL drops such parts, escaped or not, and would then be of another route.
    const dropped = path.find((part) => /^\.{0,2}$/.test(part));
    if (dropped !== undefined) throw usageProblem(`There is nothing called "${dropped}".`);
    const url = new URL(this.#options.url);
    const base = url.pathname.replace(/\/+$/, "");
    url.pathname = [base, ...path.map(encodeURIComponent)].join("/");
    url.search = new URLSearchParams(query).toString();
    return url;
  }

  #outcomeOf<T>({ status, headers }: Response, text: string): Outcome<T> {
    const body = parsed(text);
    if (isRedirect(status)) {
      const location = headers.get("Location") ?? "elsewhere";
      const reason = `${this.place} redirects to ${location}; redirects are not followed. Say where the deployment is with --url.`;
      return { kind: "refused", status, reason };
    }
    if (status < 300) {
      if (typeof body === "object" && body !== null) return { kind: "answer", body: body as T };
      const reason = `${this.place} answers, but not as Tidemark does (${headers.get("Content-Type") ?? "no Content-Type"}); check --url.`;
      return { kind: "refused", status, reason };
    }
    const reason = this.#withAdvice(status, errorsIn(body) ?? `It answered ${status}.`);
    if (status !== 429 && status !== 408 && status < 500)
      return { kind: "refused", status, reason };
    const after = retryAfter(headers.get("Retry-After"));
    return { kind: "unavailable", reason, status, ...(after !== undefined && { after }) };
  }

  #withAdvice(status: number, reason: string): string {
    if (status !== 401 && status !== 403) return reason;
    const advice =
      this.#options.token === undefined
        ? "Give a token with TIDEMARK_TOKEN or --token."
        : "Check the token in TIDEMARK_TOKEN or --token.";
    return `${reason} ${advice}`;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Flink's form of an error: `{"errors": ["…"]}`. */
function errorsIn(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null || !("errors" in body)) return undefined;
  return Array.isArray(body.errors) ? body.errors.join("\n") : undefined;
}

/** Milliseconds of a header in seconds, or as a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

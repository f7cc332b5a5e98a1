// The Durable Object of one topic partition: hands its calls to the log and lets readers wait for
// the next append. An answer leaves only after the writes before it are durable (the output gate),
// so an outcome that was received is an outcome that is kept.

import { DurableObject, RpcTarget } from "cloudflare:workers";

import type { Offset } from "../format/ids.ts";
import { parseTopicPartition } from "../format/ids.ts";
import { readBytesMax, readWait } from "../format/limits.ts";
import type {
  AppendOutcome,
  PartitionInfo,
  StoredBatch,
  TopicAppend,
  TopicPartitionApi,
  TopicReader,
} from "../format/messages.ts";
import { TopicLog } from "./log.ts";

export class TopicPartition extends DurableObject implements TopicPartitionApi {
  readonly #log: TopicLog;
  readonly #waiting = new Set<() => void>();

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env as Cloudflare.Env);
    const { storage } = ctx;
    this.#log = new TopicLog({
      exec: (query, ...bindings) => storage.sql.exec(query, ...bindings).toArray(),
      transaction: (work) => storage.transactionSync(work),
    });
  }

  async append(request: TopicAppend): Promise<AppendOutcome> {
    const outcome = this.#log.append(request);
    if (outcome.kind === "appended") {
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
    return outcome;
  }

  async openReader(): Promise<TopicReader> {
    return new Reader(async (from) => {
      const batches = this.#log.read(from, readBytesMax);
      if (batches.length > 0) return batches;
      await this.#appended();
      return this.#log.read(from, readBytesMax);
    });
  }

  async subscribe(): Promise<"subscribed" | "behind"> {
    return "behind";
  }

  async info(): Promise<PartitionInfo> {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("A topic partition is reached by name, never by id.");
    return this.#log.info(parseTopicPartition(name).partition);
  }

  /** Resolves with the next append, or after `readWait` without one. */
  async #appended(): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        resolve();
      }, readWait);
      this.#waiting.add(wake);
    });
  }
}

/** One reader's session; it holds no position of its own, so a lost one costs nothing. */
class Reader extends RpcTarget implements TopicReader {
  readonly #read: (from: Offset) => Promise<StoredBatch[]>;

  constructor(read: (from: Offset) => Promise<StoredBatch[]>) {
    super();
    this.#read = read;
  }

  async read(from: Offset): Promise<StoredBatch[]> {
    return await this.#read(from);
  }
}

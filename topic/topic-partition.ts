// The Durable Object of one topic partition: hands its calls to the log, lets readers wait for the
// next append, and calls the sources that rest. An answer leaves only after the writes before it are
// durable (the output gate), so an outcome that was received is an outcome that is kept.
//   P1. The alarm that calls subscribers again is set with the append that they are called for, and
//       again before each call of its own, until all have answered.
//   P2. No append waits for a subscriber, and no call stands in the way of the next one: what is not
//       answered in time counts as not heard.

import { DurableObject, RpcTarget } from "cloudflare:workers";

import type { Offset } from "../format/ids.ts";
import { millis, parseTopicPartition } from "../format/ids.ts";
import { readBytesMax } from "../format/limits.ts";
import type {
  AppendOutcome,
  PartitionInfo,
  StoredBatch,
  SubtaskApi,
  TopicAppend,
  TopicPartitionApi,
  TopicReader,
  TopicSubscription,
} from "../format/messages.ts";
import type { SqlDatabase } from "../format/sql.ts";
import { TopicLog } from "./log.ts";
import { type DueCall, subscriberOf, Subscriptions } from "./subscriptions.ts";

/** What a topic partition needs bound. */
export interface TopicPartitionEnv {
  readonly SUBTASK: { getByName(name: string): Pick<SubtaskApi, "appended"> };
}

/** Milliseconds that a subscriber has to answer, and after which it is called again if it did not. */
const callInterval = 5_000;

export class TopicPartition extends DurableObject<TopicPartitionEnv> implements TopicPartitionApi {
  readonly #log: TopicLog;
  readonly #subscriptions: Subscriptions;
  readonly #waiting = new Set<() => void>();
  /** Subscribers with a call under way, by name. */
  readonly #calling = new Set<string>();

  constructor(ctx: DurableObjectState, env: TopicPartitionEnv) {
    super(ctx, env);
    const { storage } = ctx;
    const database: SqlDatabase = {
      exec: (query, ...bindings) => storage.sql.exec(query, ...bindings).toArray(),
      transaction: (work) => storage.transactionSync(work),
    };
    this.#log = new TopicLog(database);
    this.#subscriptions = new Subscriptions(database);
  }

  async append(request: TopicAppend): Promise<AppendOutcome> {
    const outcome = this.#log.append(request, millis(Date.now()));
    if (outcome.kind === "appended") {
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
      const due = this.#due();
      if (due.length > 0) {
        this.#orWarn(this.ctx.storage.setAlarm(Date.now() + callInterval));
        for (const call of due) this.#orWarn(this.#call(call));
      }
    }
    return outcome;
  }

  async openReader(): Promise<TopicReader> {
    return new Reader(async (from, wait) => {
      const batches = this.#log.read(from, readBytesMax);
      if (batches.length > 0) return batches;
      await this.#appended(wait);
      return this.#log.read(from, readBytesMax);
    });
  }

  async subscribe(subscription: TopicSubscription): Promise<"subscribed" | "behind"> {
    const { partition, next } = this.#info();
    if (next !== subscription.from) return "behind";
    this.#subscriptions.put(subscription, partition);
    return "subscribed";
  }

  async info(): Promise<PartitionInfo> {
    return this.#info();
  }

  override async alarm(): Promise<void> {
    try {
      const due = this.#due();
      if (due.length === 0) return;
      await this.ctx.storage.setAlarm(Date.now() + callInterval);
      await Promise.all(due.map((call) => this.#call(call)));
    } catch (error) {
      console.error(`A topic partition could not call its subscribers: ${String(error)}`);
    }
  }

  #info(): PartitionInfo {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("A topic partition is reached by name, never by id.");
    return this.#log.info(parseTopicPartition(name).partition);
  }

  /** Subscribers that have something to read. */
  #due(): DueCall[] {
    return this.#subscriptions.due(this.#log.info(0).next);
  }

  async #call(call: DueCall): Promise<void> {
    const name = subscriberOf(call);
    if (this.#calling.has(name)) return;
    this.#calling.add(name);
    try {
      // Whatever the answer: one that is stale or unknown has nothing to wake up for.
      await answered(this.env.SUBTASK.getByName(name).appended(call.attempt, call.partition));
      this.#subscriptions.answered(call);
      if (this.#due().length === 0) await this.ctx.storage.deleteAlarm();
    } catch (error) {
      console.warn(`Subtask ${name} did not hear of an append: ${String(error)}`);
    } finally {
      this.#calling.delete(name);
    }
  }

  #orWarn(work: Promise<void>): void {
    work.catch((error: unknown) => console.warn(`A topic partition: ${String(error)}`));
  }

  /** Resolves with the next append, or after `wait` milliseconds without one. */
  async #appended(wait: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        resolve();
      }, wait);
      this.#waiting.add(wake);
    });
  }
}

/** Resolves with the answer to a call, or rejects where none comes in time. */
async function answered(call: Promise<unknown>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = (): void => reject(new Error(`No answer within ${callInterval} ms.`));
  const timer = setTimeout(late, callInterval);
  try {
    await Promise.race([call, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** One reader's session; it holds no position of its own, so a lost one costs nothing. */
class Reader extends RpcTarget implements TopicReader {
  readonly #read: TopicReader["read"];

  constructor(read: TopicReader["read"]) {
    super();
    this.#read = read;
  }

  async read(from: Offset, wait: number): Promise<StoredBatch[]> {
    return await this.#read(from, wait);
  }
}

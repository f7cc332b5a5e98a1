// The switches by which a test breaks the objects of app.ts, and what these tell about themselves.
// Tests and objects share one isolate, so plain module state reaches both.
//   X1. With every switch off (`heal`) the objects are the production ones.

import { RpcTarget } from "cloudflare:workers";
import { type Seq, seq } from "../../format/ids.ts";
import { heartbeatTimeout, readWait } from "../../format/limits.ts";
import type {
  AppendOutcome,
  AttemptOutcome,
  ChannelSession,
  CheckpointAck,
  CheckpointDecline,
  OpenChannel,
  OpenOutcome,
  TaskFailure,
  TopicAppend,
} from "../../format/messages.ts";

type Stored = R2Object | null;
type Found = R2ObjectBody | null;
type Subscribed = "subscribed" | "behind";

interface Switches {
  /** Stands in for every `BUCKET.put` of subtasks and coordinators; `put` is the real one. */
  onPut: ((path: string, put: () => Promise<Stored>) => Promise<Stored>) | undefined;
  /** Stands in for every `BUCKET.delete`. */
  onDelete: ((paths: string | string[], remove: () => Promise<void>) => Promise<void>) | undefined;
  /** Stands in for every push on the sessions that are opened while it is set. */
  onPush: ((push: Push, forward: () => Promise<void>) => Promise<void>) | undefined;
  /** Stands in for every `BUCKET.get` of a state file. */
  onGet: ((path: string, get: () => Promise<Found>) => Promise<Found>) | undefined;
  /** Stands in for every opening of a session on a subtask. */
  onOpen:
    ((request: OpenChannel, open: () => Promise<OpenOutcome>) => Promise<OpenOutcome>) | undefined;
  /** Stands in for every acknowledgement at a coordinator. */
  onAcknowledge: ((ack: CheckpointAck, forward: () => Promise<void>) => Promise<void>) | undefined;
  /** Milliseconds that subtasks wait for answers, of attempts that are deployed while it is set. */
  patience: number | undefined;
  /** Milliseconds that their reads wait at the end of a topic. */
  readWait: number | undefined;
  /** Stands in for every append to a topic partition; `abort` kills the partition. */
  onAppend:
    | ((
        append: () => Promise<AppendOutcome>,
        abort: () => void,
        request: TopicAppend,
      ) => Promise<AppendOutcome>)
    | undefined;
  /** Stands in for every subscription at a topic partition. */
  onSubscribe: ((subscribe: () => Promise<Subscribed>) => Promise<Subscribed>) | undefined;
  /** Stands in for every `appended` that a subtask hears. */
  onAppended: ((appended: () => Promise<AttemptOutcome>) => Promise<AttemptOutcome>) | undefined;
}

export interface Push {
  readonly request: OpenChannel;
  readonly seq: Seq;
  readonly frame: Uint8Array;
  /** The real session, to send what the sender did not. */
  readonly session: ChannelSession;
}

const off: Switches = {
  onPut: undefined,
  onDelete: undefined,
  onPush: undefined,
  onGet: undefined,
  onOpen: undefined,
  onAcknowledge: undefined,
  patience: undefined,
  readWait: undefined,
  onAppend: undefined,
  onSubscribe: undefined,
  onAppended: undefined,
};

export const faults: Switches = { ...off };

/** What the objects did. Counts and lists only grow; compare with what they were before. */
export const seen = {
  /** How often each object was constructed, by name. */
  constructed: new Map<string, number>(),
  acks: [] as CheckpointAck[],
  declines: [] as CheckpointDecline[],
  failures: [] as TaskFailure[],
  /** Names of the subtasks that said that they rest no longer. */
  actives: [] as string[],
  /** Names of all calls on the bucket. */
  bucketCalls: [] as string[],
  /** Paths whose upload was begun. */
  puts: [] as string[],
  /** Paths that were read. */
  gets: [] as string[],
  /** How often anybody asked how far a savepoint is. */
  progressReads: 0,
};

/** The timeouts of the subtasks under test. */
export const timeouts = {
  get patience(): number {
    return faults.patience ?? heartbeatTimeout;
  },
  get readWait(): number {
    return faults.readWait ?? readWait;
  },
};

/** What never answers. */
export const hangs = <T>(): Promise<T> => new Promise<T>(() => {});

export const heal = (): void => void Object.assign(faults, off);

export const constructions = (name: string): number => seen.constructed.get(name) ?? 0;

export function constructed(name: string | undefined): void {
  if (name !== undefined) seen.constructed.set(name, constructions(name) + 1);
}

/** Waits where the test wants something held. Polls, as a waiter's object may be killed meanwhile. */
export class Gate {
  #isOpen = false;
  /** How many have come to the gate. */
  arrived = 0;

  open(): void {
    this.#isOpen = true;
  }

  async pass(): Promise<void> {
    this.arrived++;
    while (!this.#isOpen) await scheduler.wait(5);
  }
}

/** The bucket as a faulty object sees it. */
export const faultyBucket = (bucket: R2Bucket): R2Bucket =>
  new Proxy(bucket, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      seen.bucketCalls.push(String(name));
      if (name === "get") {
        return (path: string, options: R2GetOptions) => {
          seen.gets.push(path);
          const get = (): Promise<Found> => target.get(path, options);
          return faults.onGet === undefined || path.endsWith("/_metadata")
            ? get()
            : faults.onGet(path, get);
        };
      }
      if (name === "delete") {
        return (paths: string | string[]) => {
          const remove = (): Promise<void> => target.delete(paths);
          return faults.onDelete === undefined ? remove() : faults.onDelete(paths, remove);
        };
      }
      if (name !== "put") return value.bind(target) as unknown;
      return (path: string, bytes: Uint8Array, options: R2PutOptions) => {
        const put = (): Promise<Stored> => target.put(path, bytes, options);
        seen.puts.push(path);
        return faults.onPut === undefined ? put() : faults.onPut(path, put);
      };
    },
  });

/** A session whose pushes go through `faults.onPush`. */
export class FaultySession extends RpcTarget implements ChannelSession {
  readonly #session: ChannelSession;
  readonly #request: OpenChannel;

  constructor(session: ChannelSession, request: OpenChannel) {
    super();
    this.#session = session;
    this.#request = request;
  }

  /** A fault is of one frame: those of a call are pushed one by one here. */
  async push(first: Seq, ...frames: readonly Uint8Array[]): Promise<void> {
    const session = this.#session;
    const { onPush } = faults;
    if (onPush === undefined) return session.push(first, ...frames);
    const pushed = frames.map((frame, at) => {
      const number = seq(first + at);
      const forward = (): Promise<void> => session.push(number, frame);
      return onPush({ request: this.#request, seq: number, frame, session }, forward);
    });
    await Promise.all(pushed);
  }

  settled(seq: Seq): Promise<void> {
    return this.#session.settled(seq);
  }
}

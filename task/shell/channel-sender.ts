// The session on one output channel: opens it on the receiver, pushes frames, notices when it
// breaks or goes nowhere, renews it before it is old.
//   E1. A stub is not used again after an error: every opening asks for a new one.
//   E2. Answers of an earlier session are ignored, but for frames it settled.
//   E3. Nothing is waited for without an end: an opening has a deadline, and what is sent on a session
//       is watched (stall-watch.ts).

import { millis, objectName, seq, type Seq, taskKey } from "../../format/ids.ts";
import { sessionAgeMax } from "../../format/limits.ts";
import type {
  ChannelSession,
  OpenOutcome,
  SubtaskApi,
  TaskDeployment,
} from "../../format/messages.ts";
import type { Channel } from "../../format/plan.ts";
import { type Stall, StallWatch } from "../stall-watch.ts";
import { TimedOut, within } from "./deadline.ts";

export interface ChannelEvents {
  opened(expected: Seq): void;
  settled(frames: readonly Seq[]): void;
  disconnected(): void;
  /** The receiver runs another attempt or has lost its memory, or cannot be reached at all. */
  lost(reason: string): void;
  /** The receiver is there, and neither goes on nor says why. */
  stalled(facts: string): void;
}

/** Milliseconds before each further try to open a session; after the last the receiver is lost. */
const reopenDelays = [50, 200, 1_000, 3_000];

/** Openings in a row that may go without any answer before the receiver is lost. */
const unansweredMax = 2;

export class ChannelSender {
  readonly #subtasks: { getByName(name: string): SubtaskApi };
  readonly #deployment: TaskDeployment;
  readonly #channel: Channel;
  readonly #patience: number;
  readonly #events: ChannelEvents;
  readonly #watch: StallWatch;
  #session: (ChannelSession & Partial<Disposable>) | undefined;
  #openedAt = 0;
  #timer: number | undefined;
  #isClosed = false;

  constructor(options: {
    readonly subtasks: { getByName(name: string): SubtaskApi };
    readonly deployment: TaskDeployment;
    readonly channel: Channel;
    /** Milliseconds to wait for an answer that should come, and before a channel is doubted. */
    readonly patience: number;
    readonly events: ChannelEvents;
  }) {
    this.#subtasks = options.subtasks;
    this.#deployment = options.deployment;
    this.#channel = options.channel;
    this.#patience = options.patience;
    this.#events = options.events;
    this.#watch = new StallWatch(options.patience);
  }

  async open(): Promise<void> {
    let unanswered = 0;
    for (let tries = 0; !this.#isClosed; tries++) {
      try {
        return this.#opened(await this.#ask());
      } catch (error) {
        if (error instanceof TimedOut) unanswered++;
        const delay = unanswered < unansweredMax ? reopenDelays[tries] : undefined;
        if (delay === undefined) return this.#events.lost(`it cannot be reached: ${String(error)}`);
        await scheduler.wait(delay);
      }
    }
  }

  /** Sends frames in one call, the first of them under `first`. */
  push(first: Seq, frames: readonly Uint8Array[]): void {
    // Without a session the frames wait in the window and are sent when one is open.
    if (this.#session === undefined) return;
    const seqs = frames.map((_, at) => seq(first + at));
    const at = now();
    for (const each of seqs) this.#watch.sent(each, at);
    this.#arm();
    this.#follow(seqs, (session) => session.push(first, ...frames));
  }

  awaitSettled(frameSeq: Seq): void {
    this.#follow([frameSeq], (session) => session.settled(frameSeq));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer ?? null);
    this.#drop();
  }

  async #ask(): Promise<OpenOutcome> {
    const { job, attempt } = this.#deployment;
    const receiver = this.#subtasks.getByName(objectName.subtask(job, this.#channel.to));
    const opening = receiver.open({ attempt, channel: this.#channel });
    try {
      return await within(this.#patience, "The opening of a session", opening);
    } catch (error) {
      // A session that comes too late is nobody's, and would pin the receiver.
      opening.then((late) => late.kind === "open" && dispose(late.session)).catch(() => {});
      throw error;
    }
  }

  #opened(outcome: OpenOutcome): void {
    if (outcome.kind === "open") {
      this.#session = outcome.session;
      // Closed in the meantime: a session that nobody gives up would pin the receiver.
      if (this.#isClosed) return this.#drop();
      this.#openedAt = Date.now();
      const judged = this.#watch.opened(outcome, now());
      if (judged.kind === "stalled") return this.#events.stalled(this.#factsOf(judged.stall));
      this.#events.settled(judged.settled);
      this.#events.opened(seq(outcome.expected));
      this.#arm();
    } else if (!this.#isClosed) {
      const what =
        outcome.kind === "stale" ? `it runs attempt ${outcome.current}` : "it has lost its memory";
      this.#events.lost(what);
    }
  }

  #follow(frames: readonly Seq[], call: (session: ChannelSession) => Promise<void>): void {
    const session = this.#session;
    if (session === undefined) return;
    call(session).then(
      () => {
        if (this.#isClosed) return;
        const at = now();
        for (const settled of frames) this.#watch.settled(settled, at);
        this.#events.settled(frames);
        if (session === this.#session && Date.now() - this.#openedAt > sessionAgeMax) this.#renew();
      },
      () => {
        if (session === this.#session) this.#renew();
      },
    );
  }

  #renew(): void {
    this.#drop();
    if (!this.#isClosed) this.#events.disconnected();
  }

  #drop(): void {
    if (this.#session !== undefined) dispose(this.#session);
    this.#session = undefined;
    this.#watch.closed();
  }

  /** One timer, where something is on its way: an idle channel keeps nobody awake. */
  #arm(): void {
    const { dueAt } = this.#watch;
    if (this.#timer !== undefined || dueAt === undefined) return;
    const ring = (): void => {
      this.#timer = undefined;
      if (this.#watch.isDue(now())) this.#renew();
      else this.#arm();
    };
    this.#timer = setTimeout(ring, Math.max(0, dueAt - now()));
  }

  #factsOf({ seq: oldest, position, since, doubtedSince }: Stall): string {
    const { from, to } = this.#channel;
    const { expected, settled } = position;
    return (
      `Channel from ${taskKey(from)} to ${taskKey(to)}: frame ${oldest} has waited for ` +
      `${now() - since} ms. ${taskKey(to)} answers that it has received the frames below ` +
      `${expected}, has processed those below ${settled} and waits for nothing, and said so ` +
      `${now() - doubtedSince} ms ago as well.`
    );
  }
}

const now = () => millis(Date.now());

const dispose = (session: ChannelSession & Partial<Disposable>): void =>
  session[Symbol.dispose]?.();

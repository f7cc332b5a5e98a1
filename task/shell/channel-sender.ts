// The session on one output channel: opens it on the receiver, pushes frames, notices when it
// breaks, renews it before it is old.
//   E1. A stub is not used again after an error: every opening asks for a new one.
//   E2. Answers of an earlier session are ignored, but for frames it settled.

import { objectName, seq, type Seq } from "../../format/ids.ts";
import { sessionAgeMax } from "../../format/limits.ts";
import type {
  ChannelSession,
  OpenOutcome,
  SubtaskApi,
  TaskDeployment,
} from "../../format/messages.ts";
import type { Channel } from "../../format/plan.ts";

export interface ChannelEvents {
  opened(expected: Seq): void;
  settled(seq: Seq): void;
  disconnected(): void;
  /** The receiver runs another attempt or has lost its memory, or cannot be reached at all. */
  lost(reason: string): void;
}

/** Milliseconds before each further try to open a session; after the last the receiver is lost. */
const reopenDelays = [50, 200, 1_000, 3_000];

export class ChannelSender {
  readonly #subtasks: { getByName(name: string): SubtaskApi };
  readonly #deployment: TaskDeployment;
  readonly #channel: Channel;
  readonly #events: ChannelEvents;
  #session: (ChannelSession & Partial<Disposable>) | undefined;
  #openedAt = 0;
  #isClosed = false;

  constructor(
    subtasks: { getByName(name: string): SubtaskApi },
    deployment: TaskDeployment,
    channel: Channel,
    events: ChannelEvents,
  ) {
    this.#subtasks = subtasks;
    this.#deployment = deployment;
    this.#channel = channel;
    this.#events = events;
  }

  async open(): Promise<void> {
    const { job, attempt } = this.#deployment;
    for (let tries = 0; !this.#isClosed; tries++) {
      try {
        const receiver = this.#subtasks.getByName(objectName.subtask(job, this.#channel.to));
        const outcome = await receiver.open({ attempt, channel: this.#channel });
        return this.#opened(outcome);
      } catch (error) {
        const delay = reopenDelays[tries];
        if (delay === undefined) return this.#events.lost(`it cannot be reached: ${String(error)}`);
        await scheduler.wait(delay);
      }
    }
  }

  push(frameSeq: Seq, frame: Uint8Array): void {
    // Without a session the frame waits in the window and is sent when one is open.
    if (this.#session !== undefined)
      this.#follow(frameSeq, (session) => session.push(frameSeq, frame));
  }

  awaitSettled(frameSeq: Seq): void {
    if (this.#session !== undefined) this.#follow(frameSeq, (session) => session.settled(frameSeq));
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #opened(outcome: OpenOutcome): void {
    if (outcome.kind === "open") {
      this.#session = outcome.session;
      // Closed in the meantime: a session that nobody gives up would pin the receiver.
      if (this.#isClosed) return this.#drop();
      this.#openedAt = Date.now();
      this.#events.opened(seq(outcome.expected));
    } else if (!this.#isClosed) {
      const what =
        outcome.kind === "stale" ? `it runs attempt ${outcome.current}` : "it has lost its memory";
      this.#events.lost(what);
    }
  }

  #follow(frameSeq: Seq, call: (session: ChannelSession) => Promise<void>): void {
    const session = this.#session;
    if (session === undefined) return;
    call(session).then(
      () => {
        if (this.#isClosed) return;
        this.#events.settled(frameSeq);
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
    this.#session?.[Symbol.dispose]?.();
    this.#session = undefined;
  }
}

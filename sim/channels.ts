// The sessions between subtasks, as `task/shell/channel-sender.ts` opens, uses and renews them.
//   S1. Frames of one session arrive in order; a cut lets those behind some moment vanish, and a
//       frame may be lost alone, or arrive twice.
//       An answer may be lost while its session lives on; a session may answer nothing at all.
//   S2. A session ends in the memory of a receiver: where that is dead the sender is told, and where
//       it was replaced the session goes on with the zombie.

import { millis, type Millis, type Seq, seq, taskKey } from "../format/ids.ts";
import { heartbeatTimeout, sessionAgeMax } from "../format/limits.ts";
import type { ReceiverPosition } from "../format/messages.ts";
import type { Channel } from "../format/plan.ts";
import { StallWatch } from "../task/stall-watch.ts";
import { patiently } from "./network.ts";
import type { TaskRun } from "./task-run.ts";

/** Milliseconds before each further try to open a session; after the last the receiver is lost. */
const reopenDelays = [50, 200, 1_000, 3_000];

/** Openings in a row that may go without any answer before the receiver is lost. */
const unansweredMax = 2;

export interface ChannelEvents {
  opened(expected: Seq): void;
  settled(seq: Seq): void;
  disconnected(): void;
  lost(reason: string): void;
  stalled(facts: string): void;
}

/** What a receiver answers to a sender that wants to open a channel. */
export type Opening =
  | {
      readonly kind: "open";
      readonly position: ReceiverPosition;
      readonly run: TaskRun;
      readonly input: number;
    }
  | { readonly kind: "stale" | "unknown" };

export class ChannelSender {
  readonly #run: TaskRun;
  readonly #channel: Channel;
  readonly #events: ChannelEvents;
  #session: Session | undefined;
  readonly #watch = new StallWatch(heartbeatTimeout);
  #isArmed = false;
  #openedAt = 0;
  #isClosed = false;

  constructor(run: TaskRun, channel: Channel, events: ChannelEvents) {
    this.#run = run;
    this.#channel = channel;
    this.#events = events;
  }

  open(tries = 0, unanswered = 0): void {
    if (this.#isClosed) return;
    const again = (delay: number | undefined, why: string, timedOut: number): void => {
      if (delay === undefined) this.#events.lost(`it cannot be reached: ${why}`);
      else this.#run.instance.later(delay, () => this.open(tries + 1, timedOut));
    };
    const hearing = {
      answered: (opening: Opening) => this.#opened(opening),
      lost: (why: string) => again(reopenDelays[tries], why, unanswered),
      timedOut: () => {
        const isLast = unanswered + 1 >= unansweredMax;
        again(isLast ? undefined : reopenDelays[tries], "no answer", unanswered + 1);
      },
    };
    this.#run.openChannel(this.#channel, patiently(this.#run.instance, heartbeatTimeout, hearing));
  }

  push(frameSeq: Seq, frame: Uint8Array): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#watch.sent(frameSeq, this.#now);
    this.#arm();
    session.push(frameSeq, frame, this.#follow(session, frameSeq));
  }

  awaitSettled(frameSeq: Seq): void {
    const session = this.#session;
    session?.settled(frameSeq, this.#follow(session, frameSeq));
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #opened(opening: Opening): void {
    if (opening.kind === "open") {
      if (this.#isClosed) return;
      this.#session = new Session(this.#run, opening.run, opening.input);
      this.#openedAt = this.#now;
      const { position } = opening;
      const judged = this.#watch.opened(position, this.#now);
      if (judged.kind === "stalled") {
        return this.#events.stalled(`${this.title} has stalled at frame ${judged.stall.seq}`);
      }
      for (const settled of judged.settled) this.#events.settled(settled);
      this.#events.opened(seq(position.expected));
      this.#arm();
    } else if (!this.#isClosed) {
      this.#events.lost(opening.kind === "stale" ? "it runs a newer attempt" : "it has no memory");
    }
  }

  #follow(session: Session, frameSeq: Seq): { settled: () => void; rejected: () => void } {
    return {
      settled: () => {
        if (this.#isClosed) return;
        this.#watch.settled(frameSeq, this.#now);
        this.#events.settled(frameSeq);
        const age = this.#now - this.#openedAt;
        if (session === this.#session && age > sessionAgeMax) this.#renew();
      },
      rejected: () => {
        if (session === this.#session) this.#renew();
      },
    };
  }

  #renew(): void {
    this.#drop();
    if (!this.#isClosed) this.#events.disconnected();
  }

  #drop(): void {
    this.#session?.end();
    this.#session = undefined;
    this.#watch.closed();
  }

  #arm(): void {
    const { dueAt } = this.#watch;
    if (this.#isArmed || dueAt === undefined) return;
    this.#isArmed = true;
    this.#run.instance.later(dueAt - this.#now, () => {
      this.#isArmed = false;
      if (this.#isClosed) return;
      if (this.#watch.isDue(this.#now)) this.#renew();
      else this.#arm();
    });
  }

  get #now(): Millis {
    return millis(this.#run.instance.host.time);
  }

  get title(): string {
    return taskKey(this.#channel.to);
  }
}

interface Following {
  readonly settled: () => void;
  readonly rejected: () => void;
}

class Session {
  readonly #sender: TaskRun;
  readonly #receiver: TaskRun;
  readonly #input: number;
  /** Nothing of it is ever answered. */
  readonly #isMute: boolean;
  /** Nothing later on this session arrives before that. */
  #arrivesAt = 0;
  /** Once cut: what arrives later than that does not. */
  #deliversUntil = Number.POSITIVE_INFINITY;

  constructor(sender: TaskRun, receiver: TaskRun, input: number) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#input = input;
    this.#isMute = sender.instance.host.scene.faults.strikes("hang");
  }

  push(frameSeq: Seq, frame: Uint8Array, following: Following): void {
    const { faults } = this.#sender.instance.host.scene;
    const isDropped = faults.strikes("dropFrame");
    const isDuplicate = faults.strikes("duplicate");
    this.#deliver(following, (arrived) => {
      if (isDropped) return this.#reject(following);
      this.#receiver.receive(this.#input, frameSeq, frame, arrived);
      if (isDuplicate) this.#receiver.receive(this.#input, frameSeq, frame, arrived);
    });
  }

  settled(frameSeq: Seq, following: Following): void {
    this.#deliver(following, (arrived) =>
      this.#receiver.whenSettled(this.#input, frameSeq, arrived),
    );
  }

  /** The sender has given it up: what is under way may still arrive, answers do not matter. */
  end(): void {
    const { clock, faults } = this.#sender.instance.host.scene;
    const isCutShort = faults.areOn && faults.prng.chance(0.5);
    const until = isCutShort ? clock.now + faults.prng.below(20) : this.#deliversUntil;
    this.#deliversUntil = Math.min(this.#deliversUntil, until);
  }

  #deliver(following: Following, arrive: (arrived: Following) => void): void {
    const { instance } = this.#sender;
    const { clock, faults } = instance.host.scene;
    instance.send(() => {
      const at = Math.max(this.#arrivesAt, clock.now + faults.latency());
      this.#arrivesAt = at;
      if (faults.strikes("cut")) {
        const until = clock.now + faults.prng.below(20);
        this.#deliversUntil = Math.min(this.#deliversUntil, until);
        this.#reject(following);
      }
      clock.later(at - clock.now, () => {
        if (this.#receiver.instance.isDead || clock.now > this.#deliversUntil) {
          return this.#reject(following);
        }
        let isTold = false;
        const tell = (how: "settled" | "rejected"): void => {
          if (isTold) return;
          isTold = true;
          if (how === "rejected") {
            forget();
            return this.#reject(following);
          }
          this.#receiver.instance.send(() => {
            forget();
            this.#answer(following);
          });
        };
        const forget = this.#receiver.instance.whenDead(() => this.#reject(following));
        arrive({ settled: () => tell("settled"), rejected: () => tell("rejected") });
      });
    });
  }

  #answer(following: Following): void {
    const { clock, faults } = this.#sender.instance.host.scene;
    if (this.#isMute || faults.strikes("loseAnswer")) return;
    clock.later(faults.latency(), () => {
      if (this.#sender.instance.isDead) return;
      if (clock.now > this.#deliversUntil) following.rejected();
      else following.settled();
    });
  }

  #reject(following: Following): void {
    const { clock, faults } = this.#sender.instance.host.scene;
    clock.later(faults.latency(), () => {
      if (!this.#sender.instance.isDead) following.rejected();
    });
  }
}

// Files of one job that another needs: what is said about them. The Worker asks the job that has them
// to hold them before it submits the job that needs them; from then on the two coordinators speak with
// one another, by calls that may be repeated.

import type { JobId } from "./ids.ts";

/** A hold, by the job that keeps it and its number there. Numbers are never used twice. */
export interface HoldKey {
  readonly owner: JobId;
  readonly nth: number;
}

export interface HoldRequest {
  /** The job that is about to begin with the checkpoint. */
  readonly by: JobId;
  /** The checkpoint's manifest; absent: the latest there is. */
  readonly path?: string;
  /** It is to be the new job's own (Flink's CLAIM). */
  readonly claims?: true;
}

export type HoldAnswer =
  /** `path`: where its manifest can be read from by others. */
  | { readonly kind: "held"; readonly hold: HoldKey; readonly path: string }
  /** There is no such job: nobody who would delete the files. */
  | { readonly kind: "absent" }
  /** `unavailable`: at the moment. */
  | { readonly kind: "refused" | "unavailable"; readonly reason: string };

/** What a job that is there says. */
export type HoldOutcome = Exclude<HoldAnswer, { readonly kind: "absent" }>;

/** The calls that a `Coordinator` answers to those of other jobs. */
export interface CoordinatorPeerApi {
  /**
   * Whether the job has begun with what is held and still needs it. A job that is not there needs
   * nothing, and will not: a submission that comes later is refused.
   */
  needs(hold: HoldKey): Promise<boolean>;
  /** The holder needs it no longer. Of a hold that is not there, nothing happens. */
  letGo(nth: number): Promise<void>;
}

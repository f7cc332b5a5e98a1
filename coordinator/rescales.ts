// The sizes that were asked for while the job ran, as they stand in its record. What is done about
// them is in rescaling.ts; a failure that goes back to the former size is attempts.ts's.

import type { CheckpointId, Millis } from "../format/ids.ts";
import type { RescaleProgress, RescaleStatus } from "../format/job-status.ts";
import type { JobRecord, RescaleRecord, Sized } from "./job-record.ts";

type Rescaled = Pick<JobRecord, "rescales">;

/** The one that is under way; there is one at a time, and it is the newest. */
export const openRescale = ({ rescales = [] }: Rescaled): RescaleRecord | undefined =>
  rescales[0] !== undefined && isOpen(rescales[0]) ? rescales[0] : undefined;

/** What changes with the progress of the one under way. */
export const enters = (
  { rescales: [newest, ...older] = [] }: Rescaled,
  progress: RescaleRecord["progress"],
): Rescaled => (newest === undefined ? {} : { rescales: [{ ...newest, progress }, ...older] });

/** Whether that is the checkpoint that a new size is to begin with. */
export function isRescaleCheckpoint(record: Rescaled, id: CheckpointId): boolean {
  const progress = openRescale(record)?.progress;
  return progress?.kind === "taking" && progress.checkpoint === id;
}

/** What changes where a new size does not start; undefined where none is being started. */
export function goneBack(
  record: Rescaled,
  message: string,
  now: Millis,
): Partial<JobRecord> | undefined {
  const progress = openRescale(record)?.progress;
  if (progress?.kind !== "starting") return undefined;
  const { former } = progress;
  return { next: former, ...enters(record, { kind: "failed", message, at: now }) };
}

/** The size that the job is known to run in: not the one that is being started. */
export function provenSize(record: JobRecord): Sized {
  const progress = openRescale(record)?.progress;
  const { plan, config } =
    progress?.kind === "starting" ? progress.former : (record.next ?? record);
  return { plan, config };
}

/** As it is told. */
export function statusOf({ progress, ...of }: RescaleRecord): RescaleStatus {
  const told: RescaleProgress =
    progress.kind === "starting" ? { kind: "starting", checkpoint: progress.checkpoint } : progress;
  return { ...of, progress: told };
}

const isOpen = ({ progress: { kind } }: RescaleRecord): boolean =>
  kind === "waiting" || kind === "taking" || kind === "starting";

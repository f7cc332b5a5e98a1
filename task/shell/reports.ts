// What a subtask tells its coordinator of its own accord.

import { type JobId, objectName } from "../../format/ids.ts";
import type { CoordinatorTaskApi } from "../../format/messages.ts";
import { within } from "./deadline.ts";

/** Milliseconds before each further try to tell the coordinator something. */
const reportDelays = [50, 200, 1_000, 3_000];

/**
 * Tells the coordinator, more than once where it must be, and gives its answer. What it never hears, it
 * finds out.
 */
export async function report<T>(
  to: {
    readonly coordinators: { getByName(name: string): CoordinatorTaskApi };
    readonly job: JobId;
    /** Milliseconds to wait for each answer. */
    readonly patience: number;
  },
  call: (coordinator: CoordinatorTaskApi) => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      const coordinator = to.coordinators.getByName(objectName.coordinator(to.job));
      return await within(to.patience, "A report", call(coordinator));
    } catch (error) {
      const delay = reportDelays[tries];
      if (delay === undefined) throw error;
      await scheduler.wait(delay);
    }
  }
}

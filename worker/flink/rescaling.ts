// What a job's coordinator tells of its size, as Flink writes it.

import type * as z from "zod";

import type { JobDetails, RescaleStatus } from "../../format/job-status.ts";
import { vertexOf } from "../../format/plan.ts";
import type { answers } from "../contract/flink-schemas.ts";

type Requirements = z.input<typeof answers.resourceRequirements>;
type History = z.input<typeof answers.rescaleHistory>;

/**
 * `GET /jobs/:jobid/resource-requirements`: as many subtasks as there are, no more and no fewer; as
 * many as there are to be, while the job is being rescaled.
 */
export function resourceRequirements({ plan, rescales }: JobDetails): Requirements {
  const [newest] = rescales;
  const wanted = newest !== undefined && isOpen(newest) ? newest.parallelism : {};
  return Object.fromEntries(
    plan.vertices.map(({ id, parallelism }) => {
      const bound = wanted[id] ?? parallelism;
      return [id, { parallelism: { lowerBound: bound, upperBound: bound } }];
    }),
  );
}

/** `GET /jobs/:jobid/rescales/history`. */
export const rescaleHistory = ({ plan, rescales }: JobDetails): History =>
  rescales.map((rescale) => ({
    startTimestampInMillis: rescale.requestedAt,
    triggerCause: "UPDATE_REQUIREMENT",
    ...endOf(rescale),
    vertices: Object.fromEntries(
      Object.entries(rescale.parallelism)
        .filter(([id]) => plan.vertices.some((vertex) => vertex.id === id))
        .map(([id, wanted]) => {
          const before = rescale.former[id] ?? wanted;
          return [
            id,
            {
              jobVertexId: id,
              jobVertexName: vertexOf(plan, id).name,
              desiredParallelism: wanted,
              sufficientParallelism: wanted,
              preRescaleParallelism: before,
              ...(rescale.progress.kind === "completed" && { postRescaleParallelism: wanted }),
              ...(rescale.progress.kind === "failed" && { postRescaleParallelism: before }),
            },
          ] as const;
        }),
    ),
  }));

function endOf({ progress }: RescaleStatus): Partial<History[number]> {
  switch (progress.kind) {
    case "completed":
      return {
        endTimestampInMillis: progress.at,
        terminalState: "COMPLETED",
        terminatedReason: "SUCCEEDED",
      };
    case "failed":
      return {
        endTimestampInMillis: progress.at,
        terminalState: "FAILED",
        terminatedReason: "EXCEPTION_OCCURRED",
        message: progress.message,
      };
    case "waiting":
    case "taking":
    case "starting":
      return {};
  }
}

const isOpen = ({ progress: { kind } }: RescaleStatus): boolean =>
  kind !== "completed" && kind !== "failed";

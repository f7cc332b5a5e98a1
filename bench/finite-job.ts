// A job that reads so many rows and finishes.

import { setTimeout as sleep } from "node:timers/promises";

import type { Contestant } from "./harness.ts";
import type { BenchRuntime, JobSettings } from "./runtime.ts";

const lookEvery = 50;

interface JobDetails {
  readonly state: string;
  readonly vertices: readonly {
    readonly name: string;
    readonly metrics: { readonly "read-records": number };
  }[];
}

export interface FiniteJob extends JobSettings {
  readonly name: string;
  readonly program: string;
  /** That its sources make. */
  readonly rows: number;
  /** What is wrong with what the job came to. */
  readonly differences?: (job: string) => Promise<readonly string[]>;
}

/** A run is from the submission of the job until it has finished. */
export function finiteJob(
  runtime: BenchRuntime,
  { name, program, rows, differences, ...settings }: FiniteJob,
): Contestant {
  let job = "";
  let ended: JobDetails | undefined;
  return {
    name,
    rows,
    run: async () => {
      job = await runtime.submit(program, settings);
      do {
        await sleep(lookEvery);
        ended = await runtime.ask<JobDetails>("GET", `/jobs/${job}`);
        if (isRestarted(ended.state)) {
          type Exceptions = { readonly "root-exception": string | null };
          const { "root-exception": root } = await runtime.ask<Exceptions>(
            "GET",
            `/jobs/${job}/exceptions`,
          );
          throw new Error(`${name} is ${ended.state}: ${root}`);
        }
      } while (ended.state !== "FINISHED");
    },
    check: async () => {
      const sources = ended!.vertices.filter((vertex) => vertex.name.startsWith("Source: "));
      const read = sources.reduce((sum, { metrics }) => sum + metrics["read-records"], 0);
      if (read !== rows) return [`it has read ${read} rows of ${rows}`];
      return (await differences?.(job)) ?? [];
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

/** A run that starts anew measures something else, and one that cannot go on never ends. */
const isRestarted = (state: string): boolean => ["RESTARTING", "FAILING", "FAILED"].includes(state);

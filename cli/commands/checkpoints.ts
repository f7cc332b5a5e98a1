import { Command } from "commander";

import type { Checkpoint } from "../api.ts";
import { findJob } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import {
  bytesText,
  type Column,
  durationText,
  printJson,
  tableOf,
  timeText,
  whole,
} from "../output.ts";

const columns: readonly Column[] = [
  { title: "ID", align: "right" },
  { title: "STATE" },
  { title: "TRIGGERED" },
  { title: "DURATION", align: "right" },
  { title: "WRITTEN", align: "right" },
  { title: "STATE SIZE", align: "right" },
  { title: "ACKS", align: "right" },
  { title: "" },
];

export const checkpointsCommand = (interrupted: AbortSignal): Command =>
  new Command("checkpoints")
    .description("show a job's last checkpoints, newest first")
    .argument("<job>", "its id, or the beginning of it")
    .action(async (text: string, _, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const checkpoints = await api.checkpoints(await findJob(api, text));
      if (isJson) return printJson(checkpoints);
      const { completed, failed, in_progress, restored } = checkpoints.counts;
      console.log(
        `${whole(completed)} completed, ${whole(failed)} failed, ${in_progress} in progress; restored ${restored} times`,
      );
      if (checkpoints.history.length > 0)
        console.log(tableOf(columns, checkpoints.history.map(rowOf)));
    });

const rowOf = (checkpoint: Checkpoint): (string | number)[] => [
  checkpoint.id,
  checkpoint.status,
  timeText(checkpoint.trigger_timestamp),
  durationText(checkpoint.end_to_end_duration),
  bytesText(checkpoint.checkpointed_size),
  bytesText(checkpoint.state_size),
  `${checkpoint.num_acknowledged_subtasks}/${checkpoint.num_subtasks}`,
  checkpoint.failure_message ?? checkpoint.external_path ?? "",
];

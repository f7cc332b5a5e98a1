import { Command } from "commander";

import { sessionOf } from "../../options.ts";
import {
  bold,
  bytesText,
  type Column,
  printable,
  printJson,
  tableOf,
  timeText,
  whole,
} from "../../output.ts";
import type { SavepointDescription } from "../../state-answers.ts";

const columns: readonly Column[] = [
  { title: "OPERATOR" },
  { title: "STATE" },
  { title: "HOLDS" },
  { title: "BY" },
  { title: "SUBTASKS", align: "right" },
  { title: "ENTRIES", align: "right" },
  { title: "BYTES", align: "right" },
];

export const showCommand = (interrupted: AbortSignal): Command =>
  new Command("show")
    .description("a savepoint: its operators, their states and how much is in them")
    .argument("<id>", "its id or location, or jobs/<job>/chk-<n> for a checkpoint")
    .addHelpText(
      "after",
      `
With --json also entries and bytes of each key group. "verify" reads all of it.`,
    )
    .action(async (id: string, _, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const answer = await api.savepoint(id);
      if (isJson) printJson(answer);
      else console.log(pageOf(answer));
    });

function pageOf(answer: SavepointDescription): string {
  const { id, job, program, checkpoint, time, isSavepoint, maxParallelism, bytes } = answer;
  const rows = answer.operators.flatMap(({ uid, parallelism, states }) =>
    states.map(({ state, kind, holds, version, redistribution, entries, bytes: own }) => [
      uid,
      state,
      holds === null ? "?" : version === null || version === 1 ? holds : `${holds}, v${version}`,
      kind === "keyed" ? "key" : `subtask, ${redistribution}`,
      parallelism,
      whole(entries),
      bytesText(own),
    ]),
  );
  const what = isSavepoint ? "savepoint" : "checkpoint";
  const lines = [
    `${bold(printable(id))}  ${what} ${checkpoint} of ${printable(program)}, job ${job}`,
    `${timeText(time)}, ${bytesText(bytes)}, ${maxParallelism} key groups`,
    ...(answer.rowsInChannels ? ["Rows are on their way in it; an export leaves them out."] : []),
    ...answer.problems.map((problem) => `NOT WHOLE: ${printable(problem)}`),
  ];
  const states = rows.length === 0 ? "No operator has state." : tableOf(columns, rows);
  return `${lines.join("\n")}\n\n${states}`;
}

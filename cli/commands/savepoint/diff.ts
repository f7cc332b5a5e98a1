// In what two savepoints differ. Exit codes are those of diff(1): 1 where they differ, 2 for trouble.

import { Command } from "commander";

import { type Export, openExport } from "../../exports.ts";
import { sessionOf, wholeFrom } from "../../options.ts";
import { bold, type Column, printable, printJson, tableOf, timeText, whole } from "../../output.ts";
import { exitCodes, Problem } from "../../problem.ts";
import {
  diffOf,
  type Difference,
  type DiffValue,
  isSame,
  type StateDiff,
} from "../../savepoint-diff.ts";

/** Characters of one value that people are shown. */
const valueMax = 120;

const columns: readonly Column[] = [
  { title: "OPERATOR" },
  { title: "STATE" },
  { title: "ADDED", align: "right" },
  { title: "REMOVED", align: "right" },
  { title: "CHANGED", align: "right" },
  { title: "EQUAL", align: "right" },
];

export const diffCommand = (interrupted: AbortSignal): Command =>
  new Command("diff")
    .description("in what the state of two savepoints differs, key by key")
    .argument(
      "<a>",
      "the id of a savepoint, jobs/<job>/chk-<n>, or a file of an export; - is stdin",
    )
    .argument("<b>", "the same")
    .option("-l, --limit <n>", "differences that are shown of each state", wholeFrom(0, 10_000), 10)
    .addHelpText(
      "after",
      `
Exit codes are those of diff(1):
  0  they hold the same
  1  they differ
  2  they cannot be compared

What names a file on disk is that file.

Examples:
  $ tidemark savepoint diff savepoint-3f…-12 state.ndjson
  $ tidemark savepoint diff jobs/3f…/chk-7 savepoint-3f…-12 --json | jq .states`,
    )
    .action(async (first: string, second: string, options: { limit: number }, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const { a, b, states } = await asDiff(async () => {
        if (first === "-" && second === "-") throw new Problem("Only one of them can be stdin.");
        const [a, b] = await Promise.all([openExport(api, first), openExport(api, second)]);
        return { a, b, states: await diffOf(a, b, options.limit) };
      });
      for (const { name, header } of [a, b]) {
        if (!header.rowsInChannels) continue;
        console.error(`${printable(name)} holds rows on their way, which are not compared.`);
      }
      const same = isSame(states);
      if (!same) process.exitCode = exitCodes.failed;
      if (isJson) printJson({ a: aboutOf(a), b: aboutOf(b), isSame: same, states });
      else console.log(same ? "They hold the same." : pageOf(a, b, states));
    });

/** Trouble is 2 here, as 1 says that they differ. */
async function asDiff<T>(compare: () => Promise<T>): Promise<T> {
  try {
    return await compare();
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== exitCodes.failed) throw error;
    throw new Problem(error.message, exitCodes.usage, { cause: error });
  }
}

function aboutOf({ name, header: { about } }: Export): object {
  const { job, program, checkpoint, completedAt: time } = about;
  return { name, job, program, checkpoint, time };
}

function pageOf(a: Export, b: Export, states: readonly StateDiff[]): string {
  const sides = [a, b].map(({ name, header: { about } }, at) => {
    const { program, checkpoint, completedAt } = about;
    const sign = at === 0 ? "-" : "+";
    return `${sign} ${printable(name)}: checkpoint ${checkpoint} of ${printable(program)}, ${timeText(completedAt)}`;
  });
  const rows = states.map(({ operator, state, added, removed, changed, equal }) => [
    operator,
    state,
    ...[added, removed, changed, equal].map(whole),
  ]);
  const sections = states
    .filter(({ differences, schema }) => differences.length > 0 || schema !== undefined)
    .map((state) => sectionOf(state).join("\n"));
  return [sides.join("\n"), tableOf(columns, rows), ...sections].join("\n\n");
}

function sectionOf(of: StateDiff): string[] {
  const { operator, state, added, removed, changed, schema, differences } = of;
  const left = added + removed + changed - differences.length;
  return [
    bold(printable(`${operator}, ${state}`)),
    ...(schema === undefined
      ? []
      : [`! ${JSON.stringify(schema.before)} -> ${JSON.stringify(schema.after)}`]),
    ...differences.map(lineOf),
    ...(left > 0 ? [`  and ${whole(left)} more, see --limit`] : []),
  ];
}

const signs = { added: "+", removed: "-", changed: "~" } as const;

function lineOf({ kind, key, mapKey, subtask, element, before, after }: Difference): string {
  const what =
    subtask !== undefined
      ? `subtask ${subtask}, ${element}`
      : [key, ...(mapKey === undefined ? [] : [mapKey])].map((k) => JSON.stringify(k)).join(" ");
  const values = [before, after].filter((value) => value !== undefined).map(valueText);
  return printable(`${signs[kind]} ${what}  ${values.join(" -> ")}`);
}

function valueText({ value, expires }: DiffValue): string {
  const text = JSON.stringify(value);
  const shown = text.length > valueMax ? `${text.slice(0, valueMax)}…` : text;
  return expires === undefined ? shown : `${shown} expires ${JSON.stringify(expires)}`;
}

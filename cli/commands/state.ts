// What is in state: which states there are, what one holds that no key owns, or what it holds of a key.

import { Command } from "commander";

import { findJob } from "../jobs.ts";
import { sessionOf, wholeFrom } from "../options.ts";
import {
  type Cell,
  type Column,
  printable,
  printJson,
  tableOf,
  timeText,
  whole,
} from "../output.ts";
import { usageProblem } from "../problem.ts";
import type { AsOf, OperatorStates, StateElements, StateOfKey } from "../state-answers.ts";
import { keyPart } from "../state-path.ts";

interface Options {
  readonly checkpoint?: number;
  readonly savepoint?: string;
  readonly mapKey?: string;
  readonly limit?: number;
}

export const stateCommand = (interrupted: AbortSignal): Command =>
  new Command("state")
    .description("look into the state of a job: now, or as of a checkpoint or savepoint")
    .argument("<job>", "its id, or the beginning of it")
    .argument("[uid]", "of an operator")
    .argument("[state]", "its name")
    .argument("[key]", "as JSON, strings with or without quotes: ATL, 12, '\"12\"', '[\"a\",1]'")
    .option("--checkpoint <n>", "as of a checkpoint that the job retains", wholeFrom(1))
    .option("--savepoint <id>", "as of a savepoint, of whichever job")
    .option("--map-key <key>", "of a map, this entry alone")
    .option(
      "-l, --limit <n>",
      "entries of a map, or elements of each subtask; 1,000 if not given",
      wholeFrom(1, 10_000),
    )
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark state 3f
  $ tidemark state 3f by-origin accumulators ATL
  $ tidemark state 3f by-origin accumulators ATL --savepoint nightly/savepoint-3f…-12
  $ tidemark state 3f rules seen 12 --map-key '"12"' --json | jq .value`,
    )
    .action(
      async (
        text: string,
        uid: string | undefined,
        state: string | undefined,
        key: string | undefined,
        options: Options,
        command: Command,
      ) => {
        const { api, isJson } = sessionOf(command, interrupted);
        const query = queryOf(options, {
          isOfState: state !== undefined,
          isOfKey: key !== undefined,
        });
        const path = [uid, state, key === undefined ? undefined : keyPart(key)].filter(
          (part) => part !== undefined,
        );
        const answer = await api.state(await findJob(api, text), { path, query });
        if (isJson) printJson(answer);
        else console.log(pageOf(answer));
      },
    );

/** What the route takes. @throws Problem for options that say nothing of what is asked for */
function queryOf(
  { checkpoint, savepoint, mapKey, limit }: Options,
  { isOfState, isOfKey }: { readonly isOfState: boolean; readonly isOfKey: boolean },
): Record<string, string> {
  if (checkpoint !== undefined && savepoint !== undefined) {
    throw usageProblem("Give --checkpoint or --savepoint, not both.");
  }
  if (mapKey !== undefined && !isOfKey) throw usageProblem("--map-key needs a key.");
  if (limit !== undefined && !isOfState)
    throw usageProblem("--limit needs an operator and a state.");
  return {
    ...(checkpoint !== undefined && { checkpoint: String(checkpoint) }),
    ...(savepoint !== undefined && { savepoint }),
    ...(mapKey !== undefined && { mapKey }),
    ...(limit !== undefined && { limit: String(limit) }),
  };
}

function pageOf(answer: OperatorStates | StateElements | StateOfKey): string {
  if ("operators" in answer) return pageOfStates(answer);
  return answer.kind === "operator" ? pageOfElements(answer) : pageOfKey(answer);
}

const stateColumns: readonly Column[] = [
  { title: "OPERATOR" },
  { title: "STATE" },
  { title: "HOLDS" },
  { title: "BY" },
  { title: "ENTRIES", align: "right" },
];

function pageOfStates({ asOf, operators }: OperatorStates): string {
  const rows = operators.flatMap(({ operator, states }) =>
    states.map(({ state, kind, holds, version, ttl, redistribution, entries }) => [
      operator,
      state,
      [holds, ...(version === 1 ? [] : [`v${version}`]), ...(ttl ? ["expires"] : [])].join(", "),
      kind === "keyed" ? "key" : `subtask, ${redistribution}`,
      entries === undefined ? "" : whole(entries),
    ]),
  );
  if (rows.length === 0) return `No operator has state, ${asOfText(asOf)}.`;
  return `${tableOf(stateColumns, rows)}\n${asOfText(asOf)}`;
}

function pageOfElements({ asOf, redistribution, subtasks }: StateElements): string {
  const rows = subtasks.flatMap(({ subtask, elements }) =>
    elements.map((element): Cell[] => [subtask, JSON.stringify(element)]),
  );
  const count = subtasks.reduce((sum, each) => sum + each.count, 0);
  const some = rows.length < count ? `${whole(rows.length)} of ${whole(count)}` : whole(count);
  const footer = `${some} elements, ${redistribution}; ${asOfText(asOf)}`;
  const columns: Column[] = [{ title: "SUBTASK", align: "right" }, { title: "ELEMENT" }];
  return rows.length === 0 ? footer : `${tableOf(columns, rows)}\n${footer}`;
}

function pageOfKey({ asOf, key, keyGroup, value, expires, count, entries }: StateOfKey): string {
  const of = printable(`key ${JSON.stringify(key)}, key group ${keyGroup}; ${asOfText(asOf)}`);
  if (entries === undefined) {
    const until = expires === undefined ? "" : `expires ${expiryText(expires)}; `;
    return `${printable(JSON.stringify(value))}\n${until}${of}`;
  }
  const expiring = entries.some((entry) => entry.expires !== undefined);
  const rows = entries.map((entry) => [
    JSON.stringify(entry.key),
    JSON.stringify(entry.value),
    ...(expiring ? [entry.expires === undefined ? "" : expiryText(entry.expires)] : []),
  ]);
  const columns = ["KEY", "VALUE", ...(expiring ? ["EXPIRES"] : [])].map((title) => ({ title }));
  const all = count ?? entries.length;
  const some = entries.length < all ? `${whole(entries.length)} of ${whole(all)}` : whole(all);
  return `${tableOf(columns, rows)}\n${some} entries; ${of}`;
}

const expiryText = (expires: number | readonly number[]): string =>
  [expires].flat().map(timeText).join(", ");

function asOfText({ read, checkpoint, savepoint, time }: AsOf): string {
  switch (read) {
    case "live":
      return "as of now, not yet committed by a checkpoint";
    case "checkpoint":
      return `as of checkpoint ${checkpoint}, ${timeText(time)}`;
    case "savepoint":
      return printable(`as of savepoint ${savepoint}, ${timeText(time)}`);
  }
}

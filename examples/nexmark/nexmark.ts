// `npm run nexmark`: one query over generated events, how fast it was and, if asked, whether it was right.

import { sizeText } from "../../format/size-text.ts";
import { execute } from "../../local/command-line.ts";
import { houseOf } from "../../test/nexmark/oracles/house.ts";
import { oracles } from "../../test/nexmark/oracles/oracles.ts";
import { bidsIn } from "./generator/stream.ts";
import { type QueryRun, runQuery } from "./local-query.ts";
import { commandOf, type Options, usageOf } from "./options.ts";
import { queries } from "./queries/queries.ts";
import { type Digest, type DigestPart, digestOf, sumOf } from "./row-text.ts";

/** Milliseconds between two lines about how far it is. */
const lineEvery = 2_000;

const names = queries.map(({ name }) => name);

async function nexmark(options: Options, interrupted: AbortSignal): Promise<boolean> {
  const { query, events, check, json } = options;
  const say = json ? console.error : console.log;
  const wanted = check ? wantedOf(options) : undefined;
  const run = await runQuery(
    options,
    check ? "digest" : "discard",
    // Its windows are told by the clock, which a job that ends does not wait for.
    wanted && query === "q12" ? (results) => isEqual(wanted, results) : undefined,
    progressOf(options),
    interrupted,
  );
  const wrong = wanted && differenceOf(wanted, run);
  const equal = check ? wrong === undefined : null;
  const rowsPerSecond = Math.round(run.rows / run.seconds);
  say(pageOf(query, run));
  if (check) say(wrong === undefined ? "equal: yes" : `equal: no, ${wrong}`);
  if (json) {
    const { checkpointsCompleted, stateBytes, rows, seconds } = run;
    const measured = { rowsPerSecond, checkpointsCompleted, stateBytes, equal };
    console.log(JSON.stringify({ query, events, ...measured, rows, seconds }));
  }
  return equal !== false;
}

function progressOf({ query, events }: Options): (rows: number) => void {
  const [least, most] = [bidsIn(events), events].map((n) => n.toLocaleString("en"));
  console.error(`${query}: ${least} bids in ${most} events`);
  let saidAt = Date.now();
  return (rows) => {
    if (Date.now() - saidAt < lineEvery) return;
    saidAt = Date.now();
    console.error(`${query}: ${rows.toLocaleString("en")} rows made`);
  };
}

function pageOf(
  query: string,
  { rows, seconds, checkpointsCompleted, stateBytes }: QueryRun,
): string {
  const whole = (n: number): string => Math.round(n).toLocaleString("en");
  return [
    `query        ${query}`,
    `rows         ${whole(rows)} in ${seconds.toFixed(1)} s: ${whole(rows / seconds)} rows/s`,
    `checkpoints  ${whole(checkpointsCompleted)} completed`,
    `state        ${sizeText(stateBytes)} at most`,
  ].join("\n");
}

const wantedOf = ({ query, events, rate }: Options): Digest =>
  digestOf(oracles[query]!(houseOf(events, rate)));

function isEqual(should: Digest, results: readonly object[]): boolean {
  const is = sumOf(results as DigestPart[]);
  return is.rows === should.rows && is.hash === should.hash;
}

/** How the result differs from that of the plain loop; undefined where it does not. */
function differenceOf(should: Digest, { results }: QueryRun): string | undefined {
  const is = sumOf(results as DigestPart[]);
  if (is.rows !== should.rows) return `${is.rows} rows instead of ${should.rows}`;
  return is.hash === should.hash ? undefined : `some of the ${is.rows} rows are others`;
}

await execute(commandOf(process.argv.slice(2), names), {
  script: "nexmark",
  usage: usageOf(names),
  run: nexmark,
});

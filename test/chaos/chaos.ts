// The flights job on a local runtime in which things go wrong at random for a time; then every cell
// of its table is compared with the same table made from the file.
//   C1. What goes wrong and when is drawn from the seed. What it meets is not: a replay strikes the
//       same objects at the same times, and may find them at other work.
//   C2. The last rows are sent after the last fault, so that the end shows a job that still works.
//   C3. After the last fault nobody asks the job for anything for a while, as a question wakes the
//       object it is put to: a job has to recover by its own alarms.
//   C4. Exit code 0 means: every cell equal, not one record in the topic too many, the job RUNNING,
//       and a checkpoint completed that was begun after the last fault.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { flightBodies } from "../../examples/01-flight-delays/flights.ts";
import {
  delaysByOrigin,
  differences,
  flightsIn,
} from "../../examples/01-flight-delays/reference.ts";
import { Watch } from "../../examples/01-flight-delays/watch.ts";
import { LocalJob } from "../../examples/flights/local-job.ts";
import { Producer } from "../../examples/flights/producer.ts";
import { pause, until } from "../../examples/flights/until.ts";
import { execute } from "../../local/command-line.ts";
import { Prng } from "../../sim/prng.ts";
import { detailsOf, objectsOf } from "./objects.ts";
import { commandLine, commandOf, type Options, usage } from "./options.ts";
import { Pace } from "./pace.ts";
import { holds, line, page, type Result, summaryOf } from "./report.ts";
import { drawSchedule } from "./schedule.ts";
import { carryOut, RecentBodies, type Strike } from "./strikes.ts";
import { Wire } from "./wire.ts";

// The more often rows and barriers meet on their way, the more a fault can find; see app.ts, too.
const rowsPerBody = 250;
const requestsInFlight = 12;
// A delay that grew with every restart would end in waiting for most of the time.
const flinkConfiguration = {
  "restart-strategy.type": "fixed-delay",
  "restart-strategy.fixed-delay.attempts": "2147483647",
  "restart-strategy.fixed-delay.delay": "100 ms",
  "execution.checkpointing.interval": "500 ms",
  "execution.buffer-timeout.interval": "1 ms",
};

/** Of all rows: sent after the last fault. */
const lastShare = 0.05;

/** Milliseconds between two looks: few, as a look wakes what it looks at. */
const lookEvery = 2_000;

/** Milliseconds after the last fault in which nobody asks for anything. */
const quiet = 6_000;

/** Milliseconds without a further row counted, after which the table is taken as it is. */
const standstill = 60_000;

interface Run {
  readonly options: Options;
  readonly job: LocalJob;
  readonly wire: Wire;
  readonly watch: Watch;
  readonly say: (at: number, text: string) => void;
  readonly signal: AbortSignal;
}

async function measure(run: Run): Promise<Result> {
  const { options, job, wire, watch, say, signal } = run;
  const { rows, minutes, seed } = options;
  const answer = { what: "An answer", signal };
  const { held, loose } = objectsOf(await until(() => detailsOf(job), answer));
  const objects = [...held, ...loose];
  const milliseconds = minutes * 60_000;
  const world = { milliseconds, objects: objects.length, loose: loose.length };
  const schedule = drawSchedule(new Prng(seed), world);

  const begunAt = Date.now();
  const producer = new Producer(
    { url: wire.url, up: () => job.up() },
    { topic: "flights", requestsInFlight, signal },
  );
  const bodies = new RecentBodies();
  const pace = new Pace(producer, { rows: Math.floor(rows * (1 - lastShare)), milliseconds });
  const sending = producer.send(bodies.of(flightBodies(rows, { rowsPerBody })));
  const strikes: Strike[] = [];
  const striking = carryOut(
    schedule,
    { job, objects, wire, producer, pace, bodies, milliseconds, signal },
    (strike) => {
      strikes.push(strike);
      say(strike.at, strike.text);
    },
  );
  const harm = Promise.all([striking, pace.keep(signal)]);
  // There is more to send until the harm is over, so what ends first then is a failure.
  await whileLooking(run, Promise.race([harm, sending.then(() => harm)]));

  wire.heal();
  await job.up();
  const healedAt = Date.now();
  say(healedAt, `healed; ${producer.rows} rows were sent, and now the rest`);
  producer.holdAt(Infinity);
  await Promise.race([pause(quiet, signal), sending.then(() => pause(quiet, signal))]);
  const askedAt = Date.now();
  await whileLooking(run, sending);
  const expected = await delaysByOrigin(rows);
  await whileLooking(run, watch.counts(flightsIn(expected), { standstill, signal }));
  const seconds = (Date.now() - begunAt) / 1_000;

  const records = await until(() => job.records("flights"), answer);
  const { attempt, summary } = await until(() => detailsOf(job), answer);
  const completions = [...watch.completions.values()];
  const after = completions.filter(({ trigger_timestamp }) => trigger_timestamp >= healedAt);
  return {
    options,
    seconds,
    strikes,
    cuts: wire.cuts,
    repeated: producer.repeated,
    duplicates: producer.duplicates,
    state: summary.phase,
    attempts: attempt,
    checkpointsCompleted: watch.completed,
    completions,
    recoveredUnasked: after.some(({ latest_ack_timestamp }) => latest_ack_timestamp < askedAt),
    differences: [
      ...(records === rows ? [] : [`the topic holds ${records} records, and should hold ${rows}`]),
      ...(after.length > 0 ? [] : ["no checkpoint was begun and completed after the last fault"]),
      ...differences(expected, watch.table.rows),
    ],
  };
}

/** Looks at the job until the work is done. @throws Error when the job has ended */
async function whileLooking({ job, watch, signal }: Run, work: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const looking = async (): Promise<void> => {
    while (!either.aborted) {
      await watch.look(job);
      await pause(lookEvery, either).catch(() => signal.throwIfAborted());
    }
  };
  await Promise.all([work.finally(() => over.abort()), looking()]);
}

async function chaos(options: Options, interrupted: AbortSignal): Promise<boolean> {
  const home = fileURLToPath(new URL("../../.tidemark/", import.meta.url));
  const config = fileURLToPath(new URL("wrangler.chaos.toml", import.meta.url));
  await mkdir(home, { recursive: true });
  const directory = await mkdtemp(join(home, "chaos-"));
  const print = options.json ? console.error : console.log;
  const begunAt = Date.now();
  const say = (at: number, text: string): void => print(line(begunAt, at, text));
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, interrupted]);
  let [job, wire]: [LocalJob?, Wire?] = [];
  let isFine = false;
  print(`seed ${options.seed}`);
  try {
    const program = "flight-delays";
    job = await LocalJob.start({ program, directory, config, flinkConfiguration, signal });
    wire = await Wire.to(job);
    const result = await measure({ options, job, wire, watch: new Watch(), say, signal });
    print(page(result));
    if (options.json) console.log(JSON.stringify(summaryOf(result)));
    isFine = holds(result);
    return isFine;
  } catch (error) {
    print(commandLine(options));
    throw error;
  } finally {
    if (!isFine && job !== undefined) await keepEvidence(job, directory);
    over.abort();
    wire?.close();
    await job?.stop().catch(() => undefined);
    if (isFine || interrupted.aborted) await rm(directory, { recursive: true, force: true });
    else print(`What it left is kept in ${directory}`);
  }
}

/** Writes down what the job says of itself, beside the runtime's log. */
async function keepEvidence(job: LocalJob, directory: string): Promise<void> {
  const table = job.table("delays-by-origin");
  const parts = { details: detailsOf(job), checkpoints: job.checkpoints(), table };
  const known = await Promise.all(
    Object.entries(parts).map(async ([name, part]) => [name, await part.catch(String)] as const),
  );
  const text = JSON.stringify(Object.fromEntries(known), null, 2);
  await writeFile(join(directory, "evidence.json"), text);
}

await execute(commandOf(process.argv.slice(2)), { script: "chaos", usage, run: chaos });

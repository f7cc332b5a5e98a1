import { Command, InvalidArgumentError } from "commander";

import type { Api, Rescale, ResourceRequirements, Vertex } from "../api.ts";
import { findJob } from "../jobs.ts";
import { durationOption, sessionOf, wholeFrom } from "../options.ts";
import { durationText, printJson } from "../output.ts";
import { exitCodes, Problem } from "../problem.ts";

/** Milliseconds between two looks at a rescale that is waited for. */
const lookEvery = 250;

interface Options {
  readonly parallelism?: number;
  readonly vertex?: readonly VertexSize[];
  readonly wait?: true;
  readonly waitTimeout: number;
}

/** A vertex by its id or name, and the parallelism it is to have. */
interface VertexSize {
  readonly of: string;
  readonly parallelism: number;
}

export const rescaleCommand = (interrupted: AbortSignal): Command =>
  new Command("rescale")
    .description("give a running job another parallelism, whole or vertex by vertex")
    .argument("<job>", "its id, or the beginning of it")
    .option(
      "-p, --parallelism <number>",
      "of every vertex that --vertex does not name",
      wholeFrom(1),
    )
    .option(
      "--vertex <name-or-id=number>",
      "of one vertex; repeatable, and those that are not named stay as they are",
      vertexSizeFrom,
    )
    .option("--wait", "until it runs in that size; exit code 1 where it does not")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", "10 min"))
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark rescale 3f --parallelism 6 --wait
  $ tidemark rescale 3f --vertex "count -> Sink: out=4"`,
    )
    .action(async (text: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      if (options.parallelism === undefined && options.vertex === undefined) {
        throw new Problem("Give --parallelism or --vertex.", exitCodes.usage);
      }
      const id = await findJob(api, text);
      const { vertices } = await api.job(id);
      const wanted = sizesFor(vertices, options);
      await api.rescale(id, wanted);
      const rescale =
        options.wait && (await rescaled(api, id, { wanted, within: options.waitTimeout }));
      const sizes = vertices.map(({ id: vertex, name, parallelism: before }) => {
        return { vertex, name, before, parallelism: wanted[vertex]!.parallelism.upperBound };
      });
      if (isJson) printJson({ jobid: id, vertices: sizes, ...(rescale && { rescale }) });
      else {
        for (const { name, before, parallelism } of sizes) {
          console.log(
            `${name}: ${before === parallelism ? before : `${before} -> ${parallelism}`}`,
          );
        }
      }
    });

/** What every vertex is to have. */
export function sizesFor(
  vertices: readonly Pick<Vertex, "id" | "name" | "parallelism">[],
  { parallelism, vertex: named = [] }: Pick<Options, "parallelism" | "vertex">,
): ResourceRequirements {
  const sizes = new Map(vertices.map((each) => [each.id, parallelism ?? each.parallelism]));
  for (const { of, parallelism: size } of named) {
    const matching = vertices.filter(({ id, name }) => id === of || name === of);
    const [found] = matching;
    if (found === undefined || matching.length > 1) {
      const all = vertices.map(({ id, name }) => `  ${id}  ${name}`).join("\n");
      const problem = found === undefined ? "no vertex" : "the name of several vertices";
      throw new Problem(`"${of}" is ${problem} of the job. Its vertices:\n${all}`);
    }
    sizes.set(found.id, size);
  }
  return Object.fromEntries(
    [...sizes].map(([id, size]) => [id, { parallelism: { lowerBound: size, upperBound: size } }]),
  );
}

/** The rescale, once the job runs in that size; nothing where it had it. */
async function rescaled(
  api: Api,
  job: string,
  { wanted, within }: { readonly wanted: ResourceRequirements; readonly within: number },
): Promise<Rescale | undefined> {
  for (const deadline = Date.now() + within; Date.now() < deadline; await api.pause(lookEvery)) {
    const [newest] = await api.rescales(job);
    if (newest === undefined || !isOf(newest, wanted)) return undefined;
    if (newest.terminalState === "COMPLETED") return newest;
    if (newest.terminalState === "FAILED") {
      throw new Problem(`Job ${job} was not rescaled: ${newest.message ?? "nobody knows why"}`);
    }
  }
  throw new Problem(
    `Job ${job} is not rescaled after ${durationText(within)}; ` +
      `GET /jobs/${job}/rescales/history tells when it is.`,
  );
}

const isOf = ({ vertices }: Rescale, wanted: ResourceRequirements): boolean =>
  Object.entries(wanted).every(
    ([id, { parallelism }]) => vertices[id]?.desiredParallelism === parallelism.upperBound,
  );

function vertexSizeFrom(text: string, before: readonly VertexSize[] = []): VertexSize[] {
  // A name may hold anything, so the number is what stands behind the last sign.
  const at = text.lastIndexOf("=");
  const of = text.slice(0, at);
  if (at < 1) throw new InvalidArgumentError('It must be a name or an id, "=" and a number.');
  return [...before, { of, parallelism: wholeFrom(1)(text.slice(at + 1)) }];
}

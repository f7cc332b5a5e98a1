// What `POST /jars/:id/run` may say, in its body or as query parameters, and what it means here.
// Flink's dashboard sends every field, empty ones as null or "", so those count as absent.

import * as z from "zod";

import { isJobId, type JobId } from "../format/ids.ts";
import { restorableManifest } from "../format/paths.ts";
import { described } from "./contract/described.ts";
import { HttpError } from "./errors.ts";
import { argumentFields, argumentsOf } from "./program-arguments.ts";

export interface RunRequest {
  readonly jobId: JobId | undefined;
  readonly parallelism: number | undefined;
  readonly flinkConfiguration: Readonly<Record<string, string>>;
  /** What the program is built with. */
  readonly programArgs: readonly string[];
  /** The manifest of what the job is to begin with. */
  readonly restore: { readonly path: string; readonly allowNonRestoredState: boolean } | undefined;
}

const absent = (value: unknown): unknown => (value === null || value === "" ? undefined : value);
const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess(absent, type.optional()).meta(described(type));

const wrongCount = "must be a whole number of at least 1";
const count = z.int(wrongCount).min(1, wrongCount);
const positive = z
  .preprocess(
    (value) => (typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value),
    count,
  )
  .meta(described(count));

const scalar = z
  .union([z.string(), z.number(), z.boolean()], "must be a text, a number or a boolean")
  .transform(String);

const flag = z.union(
  [z.boolean(), z.stringbool({ truthy: ["true"], falsy: ["false"] })],
  "must be true or false",
);

const claimModes = z.enum(["CLAIM", "NO_CLAIM", "LEGACY"]);

// Flink's JarRunRequestBody, and `programArgs`, which its dashboard still sends.
export const runBody = z.strictObject({
  entryClass: optional(z.string()),
  parallelism: optional(positive),
  jobId: optional(z.string().refine(isJobId, "must be 32 lower-case hex digits")),
  flinkConfiguration: optional(z.record(z.string(), scalar)),
  programArgs: optional(argumentFields.programArgs),
  programArgsList: optional(argumentFields.programArgsList),
  savepointPath: optional(z.string()),
  allowNonRestoredState: optional(flag),
  claimMode: optional(claimModes),
  restoreMode: optional(claimModes),
});

type Body = z.infer<typeof runBody>;

/** The body's names of the query parameters. A parameter overrides the body's field. */
const parameters: ReadonlyMap<string, keyof Body> = new Map([
  ["entry-class", "entryClass"],
  ["parallelism", "parallelism"],
  ["programArg", "programArgsList"],
  ["program-args", "programArgs"],
  ["savepointPath", "savepointPath"],
  ["allowNonRestoredState", "allowNonRestoredState"],
]);

/** The request to run `program`. @throws HttpError that says which field is wrong, and how */
export function runRequestOf(
  program: string,
  text: string,
  query: Readonly<Record<string, string>>,
): RunRequest {
  const parsed = runBody.safeParse({ ...objectOf(text), ...fieldsOf(query) });
  if (!parsed.success) {
    throw new HttpError(400, `Bad request to run "${program}": ${explain(parsed.error)}`);
  }
  const { data } = parsed;
  refuseUnsupported(program, data);
  return {
    jobId: data.jobId as JobId | undefined,
    parallelism: data.parallelism,
    flinkConfiguration: data.flinkConfiguration ?? {},
    programArgs: argumentsOf(data),
    restore: restoreOf(data),
  };
}

function restoreOf({ savepointPath, allowNonRestoredState = false }: Body): RunRequest["restore"] {
  if (savepointPath === undefined) return undefined;
  const path = restorableManifest(savepointPath);
  if (path !== undefined) return { path, allowNonRestoredState };
  throw new HttpError(
    400,
    `savepointPath: "${savepointPath}" is neither a savepoint (savepoints/…, the location that it was ` +
      `answered with) nor a checkpoint (jobs/…/chk-…, its external_path).`,
  );
}

function objectOf(text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new HttpError(400, "The body must be a JSON object.");
}

function fieldsOf(query: Readonly<Record<string, string>>): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const field = parameters.get(name);
    if (field === undefined) {
      const allowed = [...parameters.keys()].join(", ");
      throw new HttpError(400, `Unknown query parameter "${name}". Allowed: ${allowed}.`);
    }
    if (value === "") continue;
    // Flink separates them by commas here.
    fields[field] = field === "programArgsList" ? value.split(",") : value;
  }
  return fields;
}

function explain(error: z.ZodError): string {
  return error.issues
    .map((issue) => {
      if (issue.code === "unrecognized_keys") {
        const allowed = Object.keys(runBody.shape).join(", ");
        return `unknown field "${issue.keys.join('", "')}" (allowed: ${allowed})`;
      }
      return `${issue.path.join(".")}: ${issue.message}`;
    })
    .join("; ");
}

function refuseUnsupported(program: string, data: Body): void {
  if (data.entryClass !== undefined && data.entryClass !== program) {
    throw new HttpError(
      400,
      `entryClass: "${data.entryClass}" is not in "${program}", which is its own entry.`,
    );
  }
  const asked = [
    isOther(data.claimMode) && `claimMode ${data.claimMode} (only NO_CLAIM is)`,
    isOther(data.restoreMode) && `restoreMode ${data.restoreMode} (only NO_CLAIM is)`,
  ].filter((field) => field !== false);
  if (asked.length === 0) return;
  throw new HttpError(501, `Not supported yet: ${asked.join(", ")}. Leave it out.`);
}

const isOther = (mode: Body["claimMode"]): boolean => mode !== undefined && mode !== "NO_CLAIM";

// What routes share that start something and tell later what became of it, in Flink's form: a trigger
// id, and a result in two parts.
//   R1. The same trigger id is the same request: repeating one whose answer was lost does nothing twice.

import * as z from "zod";

import { KiB } from "../../format/limits.ts";
import { bodyOf } from "../body.ts";
import { described } from "../contract/described.ts";
import { named } from "../contract/named.ts";
import { HttpError } from "../errors.ts";

const bodyBytesMax = 16 * KiB;

/** Flink's clients send what they do not mean as null. */
export const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess((value) => value ?? undefined, type.optional()).meta(described(type));

export const triggerId = optional(
  z.string().regex(/^[0-9a-f]{32}$/, "must be 32 lower-case hex digits"),
);
export const triggerResponse = named("TriggerResponse", z.object({ "request-id": z.string() }));

/** Flink's `AsynchronousOperationResult` of such an operation. */
export const resultOf = <T extends z.ZodType>(operation: T) =>
  z.object({
    status: z.object({ id: z.enum(["IN_PROGRESS", "COMPLETED"]) }),
    operation: operation.nullable(),
  });

export const inProgress = { status: { id: "IN_PROGRESS" }, operation: null } as const;

export const ended = <T>(operation: T) => ({ status: { id: "COMPLETED" } as const, operation });

export async function parsed<T extends z.ZodType>(
  request: Request,
  schema: T,
): Promise<z.infer<T>> {
  const text = new TextDecoder().decode(await bodyOf(request, { bytesMax: bodyBytesMax }));
  let value: unknown = {};
  try {
    if (text.trim() !== "") value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${(error as Error).message}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new HttpError(400, `Bad request: ${issues.join("; ").replace(/^: /, "")}`);
}

export const newTrigger = (): string => crypto.randomUUID().replaceAll("-", "");

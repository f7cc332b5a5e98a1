// Schemas that have a name in the published document. Where Flink has one for the same thing, it is
// Flink's.

import * as z from "zod";

export const names = z.registry<{ readonly id: string }>();

/** `schema` under a name; others refer to it. */
export function named<S extends z.ZodType>(id: string, schema: S): S {
  names.add(schema, { id });
  return schema;
}

/** The body of every answer that is not the asked one. */
export const errors = named("ErrorResponseBody", z.object({ errors: z.array(z.string()).min(1) }));

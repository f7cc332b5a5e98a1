import * as z from "zod";

/**
 * What the published document says of a value before it is read, where the reading hides it: as
 * `meta` of a `preprocess` around `type`.
 */
export function described(type: z.ZodType): z.core.JSONSchemaMeta {
  const { $schema: _, ...written } = z.toJSONSchema(type, { io: "input" });
  return written;
}

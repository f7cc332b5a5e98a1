// Flink's own description of its REST API (`flink-rest-v1.json`), and what does not fit it in an
// answer. Stricter than OpenAPI, which would let every property be absent: those that Flink always
// writes have to be there.

import description from "./flink-rest-v1.json";

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly variants?: Readonly<Record<string, string>>;
  readonly by?: string;
  readonly optional?: boolean;
  readonly nullable?: boolean;
}

export interface FlinkRoute {
  readonly status: number;
  readonly body?: Schema;
}

export const flinkRoutes: Readonly<Record<string, FlinkRoute>> = description.routes;

const schemas: Readonly<Record<string, Schema>> = description.schemas;

const intMax = 2 ** 31;

/** What is wrong with `value`, each with its place; empty where it fits. */
export function misfits(value: unknown, schema: Schema, place = "body"): string[] {
  const wrong = (what: string): string[] => [`${place} ${what}: ${JSON.stringify(value)}`];
  if (value === null && schema.nullable === true) return [];
  if (schema.$ref !== undefined) return misfits(value, named(schema.$ref), place);
  if (schema.oneOf !== undefined) {
    return schema.oneOf.some((one) => misfits(value, one, place).length === 0)
      ? []
      : wrong("fits none of the possible schemas");
  }
  if (schema.variants !== undefined) {
    const tag = (value as Readonly<Record<string, string>> | null)?.[schema.by ?? ""] ?? "";
    const variant = schema.variants[tag];
    if (variant === undefined) return wrong(`has no known ${schema.by}`);
    return misfits(value, named(variant), place);
  }
  switch (schema.type) {
    case "string":
      if (typeof value !== "string") return wrong("is no text");
      if (schema.enum !== undefined && !schema.enum.includes(value)) return wrong("is not listed");
      if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
        return wrong(`does not match ${schema.pattern}`);
      }
      return [];
    case "boolean":
      return typeof value === "boolean" ? [] : wrong("is no boolean");
    case "number":
      return typeof value === "number" ? [] : wrong("is no number");
    case "integer": {
      if (typeof value !== "number" || !Number.isInteger(value)) return wrong("is no integer");
      return schema.format === "int32" && Math.abs(value) > intMax ? wrong("is too large") : [];
    }
    case "array":
      if (!Array.isArray(value)) return wrong("is no array");
      return value.flatMap((item, at) => misfits(item, schema.items ?? {}, `${place}[${at}]`));
    case "object": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        return wrong("is no object");
      }
      const given = new Map<string, unknown>(Object.entries(value));
      const declared = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
        const inside = `${place}.${name}`;
        if (given.has(name)) return misfits(given.get(name), property, inside);
        return property.optional === true ? [] : [`${inside} is missing`];
      });
      const { additionalProperties } = schema;
      if (additionalProperties === undefined) return declared;
      const others = [...given].filter(([name]) => schema.properties?.[name] === undefined);
      return [
        ...declared,
        ...others.flatMap(([name, item]) =>
          misfits(item, additionalProperties, `${place}.${name}`),
        ),
      ];
    }
    default:
      throw new Error(`${place}: the description has a schema that this does not know.`);
  }
}

function named(name: string): Schema {
  const schema = schemas[name];
  if (schema === undefined) throw new Error(`The description has no schema ${name}.`);
  return schema;
}

/// <reference types="vite/types/importMeta.d.ts" />
// The savepoints of earlier releases, and of this one.

import type { Fixture } from "../fixtures/fixture.ts";

export const kept: readonly Fixture[] = Object.values(
  import.meta.glob<Fixture>("../fixtures/savepoints/*/*.json", { eager: true, import: "default" }),
);

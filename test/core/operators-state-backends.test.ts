import { keyedStateSuite } from "./keyed-state-suite.ts";
import { stateBackends } from "./state-backends.ts";

for (const backend of stateBackends) keyedStateSuite(backend);

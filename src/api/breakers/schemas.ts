import { BreakerList, BreakerOperation, ShownBreaker } from "../../schema/breaker.ts";
import type { NamedSchema } from "../http/route-doc.ts";

/** What requests and answers of breakers carry, by the names that the OpenAPI document gives them. */
export const BREAKER: NamedSchema = { name: "Breaker", schema: ShownBreaker };
export const BREAKER_LIST: NamedSchema = { name: "BreakerList", schema: BreakerList };
export const BREAKER_OPERATION: NamedSchema = { name: "BreakerOperation", schema: BreakerOperation };

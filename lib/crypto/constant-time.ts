import { timingSafeEqual } from 'node:crypto'

/** Whether two byte strings are equal, in a time that tells nothing but their lengths. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)

import type { CompressionAlgorithm } from '../compression.ts'

/** Payloads travel as they are (RFC 4253 §6.2). */
export const none: CompressionAlgorithm = { name: 'none', delayed: false }

import { Writer } from '../../wire/writer.ts'

/** Terminal modes: opcode of RFC 4254 §8 to value. */
export type TerminalModes = ReadonlyMap<number, number>

const end = 0
/** Opcodes from here on have arguments of unknown size: reading stops there (RFC 4254 §8). */
const firstUnknown = 160

/** Opcodes 128 and 129: speeds in bits per second. */
export const TerminalSpeed = { input: 128, output: 129 } as const

/** Encodes modes, their end marked. Opcodes outside 1..159 have no encoding and are left out. */
export function encodeTerminalModes(modes: TerminalModes): Buffer {
  const writer = new Writer()
  for (const [opcode, value] of modes) {
    if (opcode > end && opcode < firstUnknown) writer.byte(opcode).uint32(value)
  }
  return writer.byte(end).copy()
}

/**
 * Decodes modes. Never throws: what is cut off, unknown or comes after the end is left out, the last value of an opcode
 * counts, and so there are at most 159.
 */
export function decodeTerminalModes(encoded: Buffer): Map<number, number> {
  const modes = new Map<number, number>()
  for (let at = 0; at + 5 <= encoded.length; at += 5) {
    const opcode = encoded[at]!
    if (opcode === end || opcode >= firstUnknown) break
    modes.set(opcode, encoded.readUInt32BE(at + 1))
  }
  return modes
}

import { sha1Words } from './short-hmac-sha1.ts'
import { binary } from './wasm/hashed-names.wasm.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'

interface Exports extends WasmMemory {
  readonly capacity: WasmConstant
  readonly lines: WasmConstant
  readonly text: WasmConstant
  readonly values: WasmConstant
  readonly passed: WasmConstant
  begin(length: number): void
  search(at: number, end: number): number
}

/** Where a search stands: at the beginning of a line. */
export interface LinePosition {
  readonly start: number
  /** Lines that were passed over. */
  readonly passed: number
}

/** From the line at `start` on, passes over those that certainly do not begin with the hashed name. */
export type HashedNameSearch = (start: number) => LinePosition

/** Bytes of the padded name that the module holds. */
const longestText = 1024

/** Bytes of a hashed name: a shorter text is not worth a module. */
const shortText = 4096

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Searches one text at a time; undefined where that would not be worth it, or WebAssembly is missing. */
export type HashedNameFinder = (text: string) => HashedNameSearch | undefined

/**
 * Looks in texts for lines that begin with the hash of `name` as known_hosts writes it: `|1|salt|HMAC-SHA1`. What is not a
 * line of that form is never passed over.
 */
export function hashedNameFinder(name: Buffer): HashedNameFinder {
  const words = sha1Words(name)
  let wasm: Exports | undefined
  return text => {
    if (text.length < shortText || !text.includes('|1|')) return undefined
    // Characters have to be bytes: those of ASCII are.
    if (words.length * 4 > longestText || Buffer.byteLength(text) !== text.length) return undefined
    wasm ??= instanceFor(words)
    return wasm && searchOf(wasm, text)
  }
}

function instanceFor(words: ReturnType<typeof sha1Words>): Exports | undefined {
  const wasm = wasmInstance<Exports>(binary)
  if (!wasm) return undefined
  const memory = Buffer.from(wasm.memory.buffer)
  memory.fill(255, wasm.values.value, wasm.values.value + 256)
  for (const [value, character] of [...alphabet].entries()) memory[wasm.values.value + character.charCodeAt(0)] = value
  for (const [index, word] of words.entries()) memory.writeInt32LE(word, wasm.text.value + index * 4)
  wasm.begin(words.length * 4)
  return wasm
}

function searchOf(wasm: Exports, text: string): HashedNameSearch {
  const memory = Buffer.from(wasm.memory.buffer)
  // What of the text the module holds.
  let from = 0
  let to = 0
  return start => {
    const before = wasm.passed.value
    let at = start
    while (at < text.length && text.charCodeAt(at) === bar) {
      if (at < from || at >= to) {
        from = at
        to = Math.min(at + wasm.capacity.value, text.length)
        memory.write(text.slice(from, to), wasm.lines.value, 'latin1')
      }
      at = from + wasm.search(at - from, to - from)
      const isWhole = at < to && text.slice(at, to).includes('\n')
      // One that is cut off by the end of what is held is looked at again, unless it is too long.
      if (isWhole || to === text.length || at === from) break
      to = from
    }
    return { start: at, passed: wasm.passed.value - before }
  }
}

const bar = 0x7c

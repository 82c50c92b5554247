import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { foundOnce } from '../../lib/found-once.ts'
import { bytesGivenBack } from '../../lib/wire/room.ts'

/** V8's own `gc`: of all objects, or of the young ones alone. */
type Collect = (options?: { readonly type: 'minor' }) => void

/** Nothing else gets to see it. Undefined where V8 does not allow it. */
const collector = foundOnce(find)

function find(): Collect | undefined {
  try {
    setFlagsFromString('--expose-gc')
    const collect: unknown = runInNewContext('gc')
    setFlagsFromString('--no-expose-gc')
    return typeof collect === 'function' ? (collect as Collect) : undefined
  } catch {
    // Another engine, or a sealed one.
    return undefined
  }
}

/**
 * Asks V8 to collect its garbage soon, once for many calls: keys that nothing refers to any more are wiped by OpenSSL then,
 * and not when memory happens to be short.
 */
export function garbageCollection(): () => void {
  let planned = false
  return () => {
    if (planned) return
    planned = true
    setImmediate(() => {
      planned = false
      collector()?.()
    })
  }
}

/** Bytes of garbage that are collected at once: seldom, as each time costs as much. */
const interval = 8 * 1024 * 1024

let garbage = 0
/** What had been used again when `garbage` was last right. */
let usedAgain = 0
let wanted = false

/**
 * For a program that is ours alone. The ciphers give each packet a buffer outside the heap. V8 counts those as if they
 * were old, so every few MiB of traffic begin a collection of the whole heap, which costs more than all else together;
 * a collection of the young objects frees them as well, in a fraction of a millisecond, but by itself comes too late.
 */
export function collectYoungGarbage(): void {
  wanted = true
}

/** So many bytes came or went. They are garbage, except for those in memory of ours that is used again. */
export function passed(count: number): void {
  if (!wanted) return
  garbage += count
  if (garbage < interval) return
  const bytes = bytesGivenBack()
  garbage -= bytes - usedAgain
  usedAgain = bytes
  if (garbage < interval) return
  garbage = 0
  collector()?.({ type: 'minor' })
}

/**
 * For a server that is ours alone: the space of young objects stays as it is. It doubles up to 16 MiB, twice, as objects
 * survive in it, as those of every new connection do, and is not given back; our collections keep it empty anyway.
 */
export function keepYoungSpaceSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}

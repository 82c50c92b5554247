import { randomInt } from 'node:crypto'
import { builtInGroup } from '../../lib/algorithms/kex/dh-gex.ts'
import type { ServeOptions } from '../../src/api/server.ts'
import { readTextFile } from '../../src/openssh/files.ts'
import { chooseModuliGroup, type ModuliGroup, parseModuli } from '../../src/openssh/moduli.ts'

/** By file; undefined when there was none. */
const read = new Map<string, readonly ModuliGroup[] | undefined>()

/**
 * Groups of ModuliFile for group exchange; without such a file the built-in ones count. The file has half a megabyte and
 * hardly any client asks: it is read once, when the first one does.
 */
export function groupChoice(file: string): Pick<ServeOptions, 'chooseGroup'> {
  return {
    chooseGroup(min, preferred, max) {
      if (!read.has(file)) {
        const text = readTextFile(file)
        read.set(file, text === undefined ? undefined : parseModuli(text))
      }
      const groups = read.get(file)
      return groups ? chooseModuliGroup(groups, min, preferred, max, randomInt) : builtInGroup(min, preferred, max)
    },
  }
}

import { OpenFlag } from '../messages.ts'
import {
  creating,
  creationAttributes,
  type FileCopyContext,
  type FileItem,
  failed,
  placeFor,
  preservedAttributes,
  rename,
} from './file-copy.ts'
import type { TransferStep } from './options.ts'

/** Files up to this size are read and written whole, in the fewest steps. */
const smallFile = 256 * 1024

/** Memory that most small files fit into, used again: new memory costs more than to read into it. */
const memoryLength = 16 * 1024
const maximumSpare = 64
const spare: Buffer[] = []

type SmallCopyContext = Pick<FileCopyContext, 'source' | 'target' | 'flow' | 'options'>

/** `grown`: the file is not as small as it was said to be, and nothing was done. */
type Outcome = 'copied' | 'grown'

/** Whether a file can be copied by `copySmallFile`. */
export function isSmallFile({ source, target, options }: SmallCopyContext, { attributes }: FileItem): boolean {
  const { size } = attributes
  if (size === undefined || size > smallFile || source === target) return false
  if (!source.readFile || !target.writeFile || size > (target.dataLimits?.write || smallFile)) return false
  return (options.resume ?? 'no') === 'no' && !options.sync
}

/**
 * Copies a file that `isSmallFile` allows. A tree of small files is made of nothing else, so there are no promises on this
 * way: `done` is called once, perhaps at once. The error is a TransferError or SftpError aborted.
 */
export function copySmallFile(
  context: SmallCopyContext,
  item: FileItem,
  done: (error: Error | undefined, outcome: Outcome) => void,
): void {
  const size = item.attributes.size ?? 0
  const { flow } = context
  const begin = (): void => {
    const memory = size < memoryLength ? (spare.pop() ?? Buffer.allocUnsafeSlow(memoryLength)) : undefined
    copyNow(context, item, size, memory, (error, outcome) => {
      // What a lost connection was to send may refer to it still.
      if (memory && !error && spare.length < maximumSpare) spare.push(memory)
      flow.give(size)
      done(error, outcome)
    })
  }
  if (flow.tryTake(size)) begin()
  else flow.take(size).then(begin, (error: Error) => done(error, 'copied'))
}

function copyNow(
  { source, target, options }: SmallCopyContext,
  item: FileItem,
  size: number,
  memory: Buffer | undefined,
  done: (error: Error | undefined, outcome: Outcome) => void,
): void {
  const place = placeFor(item, options)
  const isTemporary = place !== item.target
  let reached: TransferStep = 'open-source'
  const fail = (error: Error): void => {
    const failure = failed(reached, item, error)
    if (!isTemporary || reached === 'open-source') {
      done(failure, 'copied')
      return
    }
    target.remove(place).then(
      () => done(failure, 'copied'),
      () => done(failure, 'copied'),
    )
  }
  const written = (error: Error | undefined): void => {
    if (error) {
      fail(error)
      return
    }
    if (!isTemporary) {
      done(undefined, 'copied')
      return
    }
    reached = 'rename'
    rename(target, place, item.target).then(() => done(undefined, 'copied'), fail)
  }
  const read = (error: Error | undefined, data: Buffer | undefined): void => {
    if (error) {
      fail(error)
      return
    }
    if (!data) {
      done(undefined, 'grown')
      return
    }
    reached = 'open-target'
    const write = {
      flags: isTemporary && !item.isAgain ? creating | OpenFlag.exclusive : creating,
      attributes: creationAttributes(item, options),
      after: options.preserve ? preservedAttributes(item.attributes, 0o777) : undefined,
      opened: (): void => {
        reached = 'write'
      },
    }
    attempt(() => target.writeFile!(place, data, write, written), fail)
  }
  attempt(() => source.readFile!(item.source, size, read, memory), fail)
}

/** What is thrown before anything was asked for, such as an impossible path, is a failure of the file. */
function attempt(action: () => void, fail: (error: Error) => void): void {
  try {
    action()
  } catch (error) {
    fail(error as Error)
  }
}

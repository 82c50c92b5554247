import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'

/** One run of a program: wall clock, and CPU of it and its children, in seconds. */
export interface Run {
  readonly wall: number
  readonly cpu: number
}

/** Seconds after which a run that stands still has failed. */
const patience = 120

/** Runs a program with bash's `time`, which counts its children too. @throws when it fails or takes too long */
export function timed(argv: readonly string[], input = '/dev/null'): Promise<Run> {
  return new Promise((resolve, reject) => {
    const script = 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null <"$0"'
    const words = ['-c', script, input, 'timeout', String(patience), ...argv]
    const child = spawn('/bin/bash', words, { stdio: ['ignore', 'ignore', 'pipe'] })
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    child.on('close', code => {
      const [wall, user, system] = (text.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
      if (code !== 0 || system === undefined) reject(new Error(`${argv.join(' ')}: ${code}: ${text.slice(-400)}`))
      else resolve({ wall: wall!, cpu: user! + system })
    })
  })
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const ticksPerSecond = 100

/** Fields of /proc/pid/stat after the program's name. */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** CPU seconds of a process and of all its children that ended. */
export function cpuOf(pid: number): number {
  const [user, system, childrenUser, childrenSystem] = statOf(pid).slice(11, 15).map(Number)
  return (user! + system! + childrenUser! + childrenSystem!) / ticksPerSecond
}

/** What a process and all that it starts from now on use, those included that nobody waits for. */
export interface CpuCounter {
  seconds(): number
  close(): void
}

/** Counts by a control group where one can be made, else as `cpuOf`. */
export function countCpu(pid: number): CpuCounter {
  const group = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(path => existsSync(`${path}/cgroup.procs`))
  const folder = `${group}/tssh-bench-${pid}`
  try {
    mkdirSync(folder)
    writeFileSync(`${folder}/cgroup.procs`, String(pid))
  } catch {
    return { seconds: () => cpuOf(pid), close() {} }
  }
  return {
    seconds: () => Number(/^usage_usec (\d+)/m.exec(readFileSync(`${folder}/cpu.stat`, 'latin1'))![1]) / 1e6,
    close() {
      try {
        rmdirSync(folder)
      } catch {
        // Something in it is still ending.
      }
    },
  }
}

/** Memory of a process and of those below it, in KiB, shared pages counted by their share. */
export function memoryOf(root: number): number {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      parents.set(Number(name), Number(statOf(Number(name))[1]))
    } catch {
      // It ended meanwhile.
    }
  }
  const isBelow = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) if (at === root) return true
    return false
  }
  let sum = 0
  for (const pid of parents.keys()) {
    if (!isBelow(pid)) continue
    try {
      sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0)
    } catch {
      // It ended meanwhile.
    }
  }
  return sum
}

export const pause = (milliseconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, milliseconds))

/** A table in Markdown. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |\n`).join('')

/** A number for a table. */
export const fixed = (value: number, digits = 2): string => (Number.isFinite(value) ? value.toFixed(digits) : '-')

/** The result of `go`, unless it takes longer than `seconds`. */
export function within<T>(seconds: number, what: string, go: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: no end after ${seconds} s`)), seconds * 1000)
    go.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Runs every contestant in turn, `rounds` times after one that does not count. One that fails is left out. */
export async function interleave<T>(
  contestants: ReadonlyMap<string, () => Promise<T>>,
  rounds: number,
): Promise<Map<string, T[]>> {
  const taken = new Map<string, T[]>()
  const failed = new Set<string>()
  for (let round = 0; round <= rounds; round++) {
    for (const [name, go] of contestants) {
      if (failed.has(name)) continue
      try {
        const value = await go()
        if (round > 0) taken.set(name, [...(taken.get(name) ?? []), value])
      } catch (error) {
        failed.add(name)
        console.error(`left out: ${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  return taken
}

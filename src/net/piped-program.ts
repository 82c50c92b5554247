import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { openPipe, type Pipe } from '../native/process.ts'
import type { Take } from './large-reads.ts'
import { GrowingPipe, readPipe } from './pipe-reads.ts'

/** A running program. Its output goes to whoever takes it: no `data` event tells of it. */
export interface PipedProgram {
  readonly child: ChildProcess
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Writes to stdin; `taken` is called once the system has it, or nobody can read it any more. */
  input(data: Buffer, taken: () => void): void
}

/**
 * Starts a program on pipes. Those of Node are sockets, which a program cannot open again (`/dev/stdin`, `/dev/stderr`),
 * cost more processor time, and give each read new memory; they serve where there is no C library to call.
 *
 * @throws Error when the system has no descriptor left
 */
export function startPiped(
  [file, args, options]: readonly [file: string, args: readonly string[], options: SpawnOptions],
  takeOutput: Take,
  takeErrors: Take,
): PipedProgram {
  const pipes = openPipes()
  if (!pipes) {
    const child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdin } = child
    return {
      child,
      stdin,
      stdout: taken(child.stdout, takeOutput),
      stderr: taken(child.stderr, takeErrors),
      input: (data, done) => writeTogether(stdin, data, done),
    }
  }
  const [input, output, errors] = pipes
  const stdio = [input.readEnd, output.writeEnd, errors.writeEnd]
  try {
    const child = spawn(file, args, { ...options, stdio })
    const stdin = new Socket({ fd: input.writeEnd, readable: false, writable: true })
    const growing = new GrowingPipe(input.writeEnd)
    return {
      child,
      stdin,
      stdout: readPipe(output.readEnd, takeOutput),
      stderr: readPipe(errors.readEnd, takeErrors),
      input(data, done) {
        if (!stdin.destroyed) growing.passed(data.length)
        writeTogether(stdin, data, done)
      },
    }
  } catch (error) {
    for (const fd of [input.writeEnd, output.readEnd, errors.readEnd]) closeSync(fd)
    throw error
  } finally {
    for (const fd of stdio) closeSync(fd)
  }
}

/**
 * Writes what comes in one turn in one call: what is read at once holds many packets, of which each would otherwise be a
 * call of its own. Nothing waits for another event.
 */
function writeTogether(stream: Writable, data: Buffer, done: () => void): void {
  if (stream.writableCorked === 0) {
    stream.cork()
    queueMicrotask(() => stream.uncork())
  }
  stream.write(data, () => done())
}

function openPipes(): [Pipe, Pipe, Pipe] | undefined {
  const pipes: Pipe[] = []
  try {
    for (let count = 0; count < 3; count++) {
      const pipe = openPipe()
      if (!pipe) return undefined
      pipes.push(pipe)
    }
  } catch (error) {
    for (const { readEnd, writeEnd } of pipes) {
      closeSync(readEnd)
      closeSync(writeEnd)
    }
    throw error
  }
  return pipes as [Pipe, Pipe, Pipe]
}

function taken(stream: Readable, take: Take): Readable {
  return stream.on('data', (piece: Buffer) => {
    if (!take(piece)) stream.pause()
  })
}

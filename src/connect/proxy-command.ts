import { spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import type { Log } from '../../lib/log.ts'
import { JoinedStream } from '../net/joined-stream.ts'
import { uninterruptible } from '../net/subprocess.ts'

/**
 * Runs a ProxyCommand by the user's shell, which it replaces, and takes its stdin and stdout for the connection. It is
 * told to end (SIGHUP) when the stream is destroyed. A lone `-` means our own stdin and stdout. `survivesInterrupts`: Ctrl-C
 * does not end it.
 */
export function runProxyCommand(command: string, shell: string, log: Log, survivesInterrupts = false): Duplex {
  if (command === '-') return new JoinedStream(process.stdin, process.stdout)
  log.debug1?.(`Executing proxy command: exec ${command}`)
  const argv = ['-c', `exec ${command}`]
  const [program, args] = survivesInterrupts ? uninterruptible(shell, argv) : [shell, argv]
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const end = (): void => {
    process.off('exit', end)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGHUP')
  }
  const stream = new JoinedStream(child.stdout, child.stdin, end)
  process.on('exit', end)
  child.on('exit', () => process.off('exit', end))
  child.on('error', error => stream.destroy(error))
  return stream
}

import type { Channel, ChannelSink } from '../../lib/connection/channel.ts'
import type { Connection } from '../../lib/connection/connection.ts'
import { directStreamlocal } from '../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { deferred } from '../../lib/engine.ts'
import { ChannelOpenError } from '../../lib/errors.ts'
import { CommandError } from '../../src/command/errors.ts'
import { openFailure } from '../../src/connect/failures.ts'
import type { Invocation } from './command-line.ts'
import { forwardInput, type Input } from './input.ts'
import { outputSink } from './output.ts'

/** `-W`: stdin and stdout become a connection that the server opens. @returns the exit status */
export async function forwardStdio(
  connection: Connection,
  target: NonNullable<Invocation['stdioForward']>,
): Promise<number> {
  let input: Input | undefined
  const output = outputSink(connection, () => input?.resume())
  const over = deferred<Error | undefined>()
  const sink: ChannelSink = {
    ...output,
    eof: () => void output.flushed().then(() => over.resolve(undefined)),
    closed: error => void output.flushed().then(() => over.resolve(error)),
  }
  let channel: Channel
  try {
    channel =
      'path' in target
        ? await directStreamlocal.open(connection, target, sink)
        : await directTcpip.open(connection, { ...target, originatorAddress: '127.0.0.1', originatorPort: 65535 }, sink)
  } catch (error) {
    if (!(error instanceof ChannelOpenError)) throw error
    throw new CommandError(`channel 0: open failed: ${openFailure(error)}\nstdio forwarding failed`, 255, {
      cause: error,
    })
  }
  input = forwardInput(channel)
  const error = await over.promise
  channel.close()
  input.stop()
  return error ? 255 : 0
}

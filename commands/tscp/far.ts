import { messageOf } from '../../lib/errors.ts'
import { Dialogue } from '../../lib/scp/dialogue.ts'
import { receiveFiles } from '../../lib/scp/sink.ts'
import { sendFiles } from '../../lib/scp/source.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { stdioStream } from '../../src/net/stdio-stream.ts'
import type { Invocation } from './command-line.ts'

/** The far side of another scp (`-f`, `-t`): speaks the old protocol on standard input and output. */
export async function serve({
  mode,
  sources,
  target,
  recursive,
  preserve,
  targetIsDirectory,
  host,
}: Invocation): Promise<number> {
  const dialogue = new Dialogue(stdioStream(process.stdin, process.stdout))
  const files = new LocalFileSystem()
  let failed = 0
  const onError = (error: Error): void => {
    failed++
    // The near side shows it; here it would be shown twice.
    if (host.verbosity > 0) process.stderr.write(`tscp: ${messageOf(error)}\n`)
  }
  try {
    if (mode === 'send') {
      await dialogue.answer()
      await sendFiles(dialogue, files, sources, { recursive, preserve, onError })
    } else {
      await receiveFiles(dialogue, files, target, {
        recursive,
        preserve,
        targetIsDirectory,
        umask: process.umask(),
        onError,
      })
    }
  } catch (error) {
    onError(error as Error)
  }
  dialogue.end()
  return failed > 0 ? 1 : 0
}

// Tells the operator's story on the fake gateway, to see that the telling itself is sound: `npm run rehearse`.

import { FakeGateway } from './fakeGateway';
import { fillYard } from './sampleYard';
import { serve } from './serveFake';

const gateway = new FakeGateway(Date.now);
fillYard(gateway, Date.now());
const { server, url } = await serve(gateway);
Object.assign(process.env, { GATEWAY_URL: url, ACCOUNT: 'li', PASSWORD: 'secret' });
try {
  await import('./story');
} finally {
  server.closeAllConnections();
  server.close();
}

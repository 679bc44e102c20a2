/** A selfie3d server from TypeScript, in browsers and in Node.js. */
import { type Client, ConnectError, type Interceptor, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { ReconstructionService } from "./gen/selfie3d/v1/reconstruction_pb.js";

export * from "./gen/selfie3d/v1/reconstruction_pb.js";

/** The service behind a server's address, such as "http://localhost:8080"; `token` goes with every call. */
export function connect(address: string, token?: string): Client<typeof ReconstructionService> {
  const authorize: Interceptor = (next) => (request) => {
    if (token) request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  return createClient(ReconstructionService, createGrpcWebTransport({ baseUrl: address, interceptors: [authorize] }));
}

/** The reason of a failed call as docs/errors.md lists it, such as "PHOTO_CORRUPT"; empty for any other error. */
export function reasonOf(error: unknown): string {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason ?? "";
}

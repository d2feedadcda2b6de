"""What tests share: databases, the world, a running application, a running server."""

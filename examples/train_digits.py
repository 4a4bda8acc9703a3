"""Two epochs on real digits, read pixel by pixel; the factor is verified after each."""

from limitset import Certificate, certify
from limitset.training import AssemblyCore, Epoch, Settings, train_task


def show(epoch: Epoch) -> None:
    print(f"epoch {epoch.index}: loss {epoch.loss:.3f}, factor {epoch.factor:.4f} [verified]")


settings = Settings(AssemblyCore(modules=2, units=16), epochs=2)
trained = train_task("digits", settings, on_epoch=show)
running = trained.fit.model.explicit()

# The parametrisation proposes the metric; `certify` proves it for the float32 weights as they are.
answer = certify(running.system, metric=trained.fit.model.core.metric())
assert isinstance(answer, Certificate)
print(f"accuracy on unseen digits {trained.test_accuracy:.3f} (chance is 0.1)")
print("claim:", answer.claim())

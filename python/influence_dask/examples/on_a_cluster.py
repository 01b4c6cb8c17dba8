# %% [markdown]
# # Influences on a Dask cluster
#
# The steps of pyDVL's section on parallel computation, line by line: what it says is in comments
# above what is said here. Start it in a folder that `influence demo` has written, or give a
# configuration: `python on_a_cluster.py influence-demo/influence.toml`.

# %%
import sys

import dask.array as da
from distributed import Client

from influence_dask import DaskInfluenceCalculator


def main(config: str, binary: str = "influence") -> None:
    # %% [markdown]
    # ## A cluster
    #
    #     client = Client(n_workers=4, threads_per_worker=1)

    # %%
    client = Client(n_workers=2, threads_per_worker=1)
    print(client)

    # %% [markdown]
    # ## A fitted model
    #
    #     infl_model = CgInfluence(model, loss, hessian_regularization=0.01)
    #     infl_model = infl_model.fit(train_dataloader)
    #     da_x, da_y = torch_dataset_to_dask_array(train_data_set, chunk_size=chunk_size)
    #     infl_calc = DaskInfluenceCalculator(
    #         infl_model, converter=TorchNumpyConverter(device=torch.device("cpu")), client=client
    #     )
    #
    # The model, the data and the method are in the configuration. Workers read their files, so that
    # nothing is scattered and nothing is converted.

    # %%
    calculator = DaskInfluenceCalculator(config, client, binary, fitted="fit.safetensors").fit()
    print(f"{calculator.n_parameters} parameters")

    # %% [markdown]
    # ## Influences
    #
    #     da_influences = infl_calc.influences(da_x_test, da_y_test, da_x, da_y)

    # %%
    influences = calculator.influences()
    print(influences)

    # %% [markdown]
    # Any computation of Dask works on them, chunk by chunk.

    # %%
    helpful = da.argtopk(influences, 3, axis=1)[:5].compute()
    for test, train in enumerate(helpful):
        print(f"test point {test}: training points {train.tolist()} helped most")

    # %% [markdown]
    # ## Stored
    #
    #     da_influences.to_zarr("path/or/url")

    # %%
    influences.to_zarr("influences-dask.zarr", overwrite=True)
    print(da.from_zarr("influences-dask.zarr"))

    # %% [markdown]
    # Workers can also write by themselves. This is the output of `influence run`, byte by byte, with
    # checksums and reports; if the client is lost, the same call goes on where it was.

    # %%
    stored = calculator.to_zarr("influences.zarr")
    print(stored)

    # %% [markdown]
    # ## Factors first
    #
    #     da_factors = infl_calc.influence_factors(da_x_test, da_y_test)
    #     infl_calc.influences_from_factors(da_factors, da_x, da_y)

    # %%
    factors = calculator.influence_factors()
    again = calculator.influences_from_factors(factors)
    print(f"largest difference {abs(again - influences).max().compute():.1e}")
    client.close()


# %%
if __name__ == "__main__":
    main(*sys.argv[1:])
